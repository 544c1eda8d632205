"""What keeps shared and private features apart."""

import torch.nn.functional as F
from torch import Tensor

from objectives.precision import full_precision


@full_precision
def difference(shared: Tensor, private: Tensor) -> Tensor:
    """|H_s^T H_p|_F^2 / B^2, the rows of H being the features of one domain, centred and of unit length.

    It is 0 if each shared feature is uncorrelated with each private one, and at most 1. Centred and of unit length,
    since features could otherwise become orthogonal by shrinking; over B^2, since the sum grows with the batch.

    Source: Bousmalis et al., "Domain Separation Networks" (2016), eq. 5, of which this is the term of one domain.

    Args:
        shared: features of a domain that both domains share, (B, D).
        private: features of the same examples that only this domain has, (B, D').

    Returns:
        A scalar.
    """
    return (_directions(shared).T @ _directions(private)).square().sum() / len(shared) ** 2


def _directions(x: Tensor) -> Tensor:
    return F.normalize(x - x.mean(0), eps=1e-6)
