"""Maximum mean discrepancy between the features of two domains."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from objectives.precision import full_precision

Estimator = Literal["biased", "unbiased", "linear"]
BANDWIDTHS = (2**-3, 2**-2, 2**-1, 1.0, 2.0)


@full_precision
def mmd(
    source: Tensor,
    target: Tensor,
    bandwidths: Sequence[float] = BANDWIDTHS,
    estimator: Estimator = "biased",
    scale: float | None = None,
) -> Tensor:
    """Squared maximum mean discrepancy with the kernel k(x, y) = sum_b exp(-|x - y|^2 / (b s)).

    s is the mean squared distance between two different examples of both domains together, a constant to the gradient.
    ``biased`` takes all pairs (eq. 5) and is never negative; ``unbiased`` leaves out those of an example with itself
    (eq. 3); ``linear`` takes each example in one pair only (lemma 14): O(B) instead of O(B^2), unbiased, and noisier.

    Source: Gretton et al., "A Kernel Two-Sample Test" (2012); as a loss, with a family of bandwidths, Long et al.,
    "Learning Transferable Features with Deep Adaptation Networks" (2015).

    Args:
        source: (B, D).
        target: (B', D); as many as of the source where the estimator is linear.
        bandwidths: b of each kernel that is summed.
        estimator: which pairs count.
        scale: s, where it is not to be taken from the examples.

    Returns:
        A scalar.

    Raises:
        ValueError: if there is no such estimator, or the domains have too few or unequally many examples for it.
    """
    _check(source, target, bandwidths, estimator)
    centre = torch.cat([source, target]).detach().mean(0)  # rounding grows with the squared norms
    source, target = source - centre, target - centre
    s = _mean_squared_distance(source, target) if scale is None else scale
    if estimator == "linear":
        return _linear(source, target, bandwidths, s)
    within_source, within_target, between = (
        _kernel(_squared_distances(x, y) / s, bandwidths)
        for x, y in ((source, source), (target, target), (source, target))
    )
    mean = Tensor.mean if estimator == "biased" else _mean_off_diagonal
    return mean(within_source) + mean(within_target) - 2 * between.mean()


def _linear(source: Tensor, target: Tensor, bandwidths: Sequence[float], s: Tensor | float) -> Tensor:
    even = len(source) // 2 * 2
    x, x_, y, y_ = source[0:even:2], source[1:even:2], target[0:even:2], target[1:even:2]
    pairs = torch.stack([x - x_, y - y_, x - y_, x_ - y])  # (4, B/2, D)
    kernels = _kernel(pairs.square().sum(2) / s, bandwidths)
    return (kernels[0] + kernels[1] - kernels[2] - kernels[3]).mean()


def _kernel(squares: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Sum of the kernels, from squared distances over s; of the same shape."""
    return torch.stack([torch.exp(-squares / b) for b in bandwidths]).sum(0)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Between all rows of x (N, D) and y (M, D), (N, M)."""
    squares: Tensor = x.square().sum(1, keepdim=True) + y.square().sum(1) - 2 * x @ y.T
    return squares.clamp_min(0)


def _mean_squared_distance(source: Tensor, target: Tensor) -> Tensor:
    """Over all pairs of different rows; from their variance, which is half of it, in O(B)."""
    s = 2 * torch.cat([source, target]).detach().var(0).sum()
    return s.clamp_min(1e-12)  # all features may be equal


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))


def _check(source: Tensor, target: Tensor, bandwidths: Sequence[float], estimator: Estimator) -> None:
    if estimator not in ("biased", "unbiased", "linear"):
        raise ValueError(f"estimator is {estimator!r}: choose biased, unbiased or linear")
    if not bandwidths or min(bandwidths) <= 0:
        raise ValueError(f"bandwidths is {list(bandwidths)}: give at least one, all above 0")
    if estimator != "biased" and min(len(source), len(target)) < 2:
        raise ValueError(f"estimator is {estimator!r}: it needs at least two examples of each domain in a batch")
    if estimator == "linear" and len(source) != len(target):
        raise ValueError(
            f"estimator is 'linear': it needs as many of the source ({len(source)}) as of the target "
            f"({len(target)}) in a batch"
        )
