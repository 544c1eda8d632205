"""Precision and recall of a generative model."""

from typing import NamedTuple

import torch
from torch import Tensor

from metrics.two_sets import TwoSets, squared_distances


class PrecisionAndRecall(NamedTuple):
    """Shares in [0, 1]: of the generated set that is realistic, of the real set that is covered."""

    precision: Tensor
    recall: Tensor


class PrecisionRecall(TwoSets):
    """Share of each set inside the manifold of the other, both exact over all pairs.

    The manifold of a set is the union of balls around its examples that reach to the k-th nearest other one. The shares
    depend on the size of the sets, so they are comparable only at equal sizes.

    Source: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models" (2019).

    Args:
        neighbours: k.
    """

    higher_is_better = True

    def __init__(self, neighbours: int = 3) -> None:
        super().__init__()
        if neighbours < 1:
            raise ValueError(f"neighbours is {neighbours}: a ball reaches to at least the first neighbour")
        self.neighbours = neighbours

    def compute(self) -> PrecisionAndRecall:
        """Precision and recall, float64 scalars.

        Raises:
            ValueError: if either set has no k other examples.
        """
        real, generated = self.sets(at_least=self.neighbours + 1)
        return PrecisionAndRecall(
            _share_inside(generated, real, self.neighbours), _share_inside(real, generated, self.neighbours)
        )


def _share_inside(x: Tensor, y: Tensor, neighbours: int) -> Tensor:
    """Share of x (N, D) in the balls around y (M, D) that reach to the k-th nearest other y."""
    # the nearest of all is the example itself
    radii = torch.cat([rows.kthvalue(neighbours + 1).values for rows in squared_distances(y, y)])
    rounding = 1e-12 * (y - y.mean(0)).square().sum(1).max()
    inside = torch.cat([(rows <= radii + rounding).any(1) for rows in squared_distances(x, y)])
    return inside.double().mean()
