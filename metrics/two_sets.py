"""What the metrics share that keep all features of a real and of a generated set."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

CHUNK = 1024  # rows whose distances to all others are in memory at once


class TwoSets(Metric):
    """Collects the features of real and of generated examples, from all processes."""

    full_state_update = False
    real: list[Tensor]
    generated: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("generated", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        """Add features (B, D) of real or of generated examples."""
        kept, others = (self.real, self.generated) if real else (self.generated, self.real)
        kept.append(features.detach().float())
        if not others:  # a process may have none of these, and then has to know their width to gather those of others
            others.append(kept[-1][:0])

    def sets(self, at_least: int) -> tuple[Tensor, Tensor]:
        """All real (N, D) and all generated features (M, D), in float64.

        Raises:
            ValueError: if either set has fewer examples than this.
        """
        empty = torch.empty(0)
        real, generated = (dim_zero_cat(kept).double() if len(kept) else empty for kept in (self.real, self.generated))
        check_sizes(type(self).__name__, at_least, len(real), len(generated))
        return real, generated


def check_sizes(metric: str, at_least: int, real: int, generated: int) -> None:
    """Refuse sets too small for a metric.

    Raises:
        ValueError: naming both sizes.
    """
    if min(real, generated) < at_least:
        raise ValueError(
            f"{metric} was given {real} real and {generated} generated examples: it needs at least {at_least} of each"
        )


def chunks(x: Tensor) -> tuple[Tensor, ...]:
    """Rows of x (N, D), few enough at a time for their pairs with all others to fit into memory."""
    return torch.split(x, CHUNK)


def squared_distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Squared Euclidean distances between rows of x (N, D) and y (M, D), by chunks of x: (n, M) each."""
    centre = y.mean(0)  # rounding grows with the squared norms
    x, y = x - centre, y - centre
    lengths = y.square().sum(1)
    for rows in chunks(x):
        yield (rows.square().sum(1, keepdim=True) + lengths - 2 * rows @ y.T).clamp_min(0)
