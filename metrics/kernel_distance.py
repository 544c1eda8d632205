"""Kernel distances between two sets of features."""

from typing import Literal

from torch import Tensor

from metrics.two_sets import TwoSets, chunks, squared_distances


class KernelDistance(TwoSets):
    """Unbiased estimate of a kernel distance between two distributions, over all pairs.

    ``polynomial``: squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 of the KID. Where the KID averages
    over random subsets, this is the U-statistic of the whole sets: the same expectation, a smaller variance, nothing
    drawn. ``energy``: energy distance 2 E|x - y| - E|x - x'| - E|y - y'|, which has no scale to choose and is for raw
    points. Both are 0 in expectation for equal distributions, and so can be slightly negative.

    Source: Binkowski et al., "Demystifying MMD GANs" (2018); Szekely and Rizzo, "Energy Statistics" (2013).

    Args:
        kernel: ``polynomial`` or ``energy``.
    """

    higher_is_better = False

    def __init__(self, kernel: Literal["polynomial", "energy"] = "polynomial") -> None:
        super().__init__()
        if kernel not in ("polynomial", "energy"):
            raise ValueError(f"kernel is {kernel!r}: choose polynomial or energy")
        self.kernel = kernel

    def compute(self) -> Tensor:
        """The distance, a float64 scalar.

        Raises:
            ValueError: if either set has fewer than two examples.
        """
        real, generated = self.sets(at_least=2)
        mean = _mean_cube if self.kernel == "polynomial" else _mean_closeness
        return mean(real, real, True) + mean(generated, generated, True) - 2 * mean(real, generated, False)


def _mean_cube(x: Tensor, y: Tensor, same: bool) -> Tensor:
    """Mean of (x.y / D + 1)^3 over the pairs of two sets, or over those of different examples of the same."""
    dim = x.shape[1]
    total = x.new_zeros(())
    for rows in chunks(x):
        total = total + ((rows @ y.T / dim + 1) ** 3).sum()
    if same:
        total = total - ((x.square().sum(1) / dim + 1) ** 3).sum()
    return total / _pairs(x, y, same)


def _mean_closeness(x: Tensor, y: Tensor, same: bool) -> Tensor:
    """Mean of -|x - y| over the pairs of two sets, or over those of different examples of the same."""
    total = x.new_zeros(())
    start = 0
    for squares in squared_distances(x, y):
        distances = squares.sqrt()
        if same:  # an example is at distance 0 from itself, but for rounding
            distances.diagonal(start).zero_()
        total = total - distances.sum()
        start += len(squares)
    return total / _pairs(x, y, same)


def _pairs(x: Tensor, y: Tensor, same: bool) -> int:
    return len(x) * (len(y) - same)
