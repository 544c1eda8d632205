"""The sparsity penalty of the sparse autoencoder.

Source: Ng, "Sparse autoencoder", CS294A lecture notes (2011), section 3.
"""

import math

import torch
from torch import Tensor

from objectives.precision import full_precision


@full_precision
def kl_sparsity(mean_activation: Tensor, rho: float) -> Tensor:
    """KL between Bernoulli(rho) and Bernoulli(rho_hat), summed over hidden units, in nats.

    The argument is the *mean over the batch* of each unit's activation. The mean comes before the
    divergence: the KL of every single activation would push each activation to rho, which is a
    constant code, and not a code that is seldom active.

    Args:
        mean_activation: (D,), rho_hat, mean activation of each unit in [0, 1].
        rho: target mean activation in (0, 1).

    Returns:
        Scalar.
    """
    rho_hat = mean_activation.clamp(1e-6, 1 - 1e-6)
    active = rho * (math.log(rho) - torch.log(rho_hat))
    silent = (1 - rho) * (math.log1p(-rho) - torch.log1p(-rho_hat))
    return (active + silent).sum()
