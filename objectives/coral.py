"""Correlation alignment of the features of two domains."""

from torch import Tensor

from objectives.precision import full_precision


@full_precision
def coral(source: Tensor, target: Tensor) -> Tensor:
    """|C_s - C_t|_F^2 / (4 D^2), with the unbiased covariances of the features of each domain.

    Source: Sun and Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation" (2016), eqs. 1 to 3.

    Args:
        source: (B, D).
        target: (B', D).

    Returns:
        A scalar.

    Raises:
        ValueError: if a domain has fewer than two examples.
    """
    if min(len(source), len(target)) < 2:
        raise ValueError(
            f"a batch has {len(source)} and {len(target)} examples: a covariance needs at least two of each"
        )
    apart = _covariance(source) - _covariance(target)
    return apart.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(x: Tensor) -> Tensor:
    """(B, D) -> (D, D)."""
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)
