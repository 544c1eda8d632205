"""The evidence lower bound and its importance-weighted refinement, in nats.

Sources: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014), equation 10;
Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow" (2016), appendix C.8;
Burda et al., "Importance Weighted Autoencoders" (2016), equation 8.
"""

import math

import torch
from torch import Tensor

from objectives.precision import full_precision


@full_precision
def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of each latent dimension.

    Args:
        mu: (B, D), posterior means.
        logvar: (B, D), log posterior variances.

    Returns:
        (B, D), in nats; sum over D for the KL of an example.
    """
    return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)  # expm1 keeps the digits near the prior


@full_precision
def free_bits(kl: Tensor, nats: float) -> Tensor:
    """KL with a floor under each latent dimension, below which there is no gradient.

    Args:
        kl: (B, D), KL of each example and dimension.
        nats: floor on the batch mean of a dimension's KL.

    Returns:
        Scalar, sum over D of max(mean over B of kl, nats).
    """
    return kl.mean(0).clamp_min(nats).sum()


@full_precision
def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Log density of a diagonal Gaussian.

    Args:
        z: (..., D).
        mu: broadcastable to z.
        logvar: broadcastable to z.

    Returns:
        (...), log density in nats, summed over D.
    """
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mu).square() * torch.exp(-logvar)).sum(-1)


@full_precision
def importance_weighted_bound(log_weight: Tensor) -> Tensor:
    """Lower bound on log p(x) from k importance samples; the ELBO at k = 1, log p(x) as k grows.

    Args:
        log_weight: (B, K), log p(x, z_k) - log q(z_k | x).

    Returns:
        (B,), log of the mean weight, in nats.
    """
    return torch.logsumexp(log_weight, dim=1) - math.log(log_weight.shape[1])
