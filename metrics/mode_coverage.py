"""How many modes of a known mixture a generative model found."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torchmetrics import Metric

REACH = 3.0  # standard deviations around a mode within which a sample counts as one of it
_FAIR = 0.1  # part of its share of the samples that a mode needs to be covered


@runtime_checkable
class KnownModes(Protocol):
    """Data from a mixture of isotropic Gaussians of equal weight."""

    @property
    def modes(self) -> Tensor:
        """Centres of the modes, float32 (K, D)."""

    @property
    def mode_std(self) -> float:
        """Standard deviation of each mode, in every direction."""


class Coverage(NamedTuple):
    """Number of covered modes, share in [0, 1] of samples of high quality, distance in [0, 1] to the mixture."""

    modes_covered: Tensor
    high_quality: Tensor
    mode_distance: Tensor


class ModeCoverage(Metric):
    """Counts the modes of a mixture of K equal round Gaussians that generated points reach.

    A point is of high quality if it is within three standard deviations of the nearest mode. A mode is covered if it
    has at least a tenth of its fair share of all points, n / K / 10, in points of high quality, and at least one.

    Source: high-quality samples as in Srivastava et al., "VEEGAN" (2017); the least share of a mode is this project's,
    because a single stray point makes no mode.

    The distance is the total variation between how the samples and how the mixture itself fall on the reaches of the
    modes and on what lies beyond them all: modes that are missing or favoured and points of low quality all add to it.

    Args:
        modes: float (K, D), centres.
        std: standard deviation of each mode, in every direction.
    """

    higher_is_better = True
    full_state_update = False
    modes: Tensor
    hits: Tensor
    count: Tensor

    def __init__(self, modes: Tensor, std: float) -> None:
        super().__init__()
        if std <= 0:
            raise ValueError(f"std is {std}: a mode needs a positive width")
        self.std = std
        self.register_buffer("modes", modes.detach().double(), persistent=False)
        self.add_state("hits", torch.zeros(len(modes), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, points: Tensor) -> None:
        """Add generated points (B, D)."""
        offsets = points.detach().double().unsqueeze(1) - self.modes  # (B, K, D)
        distance, nearest = offsets.square().sum(2).sqrt().min(1)
        close = (distance <= REACH * self.std).double()
        self.hits = self.hits.index_add(0, nearest, close)
        self.count = self.count + len(points)

    def compute(self) -> Coverage:
        """Modes covered, share of high quality, and distance to the mixture, float64 scalars."""
        least = (self.count * _FAIR / len(self.modes)).clamp_min(1)
        share = self.hits / self.count
        # of a round Gaussian's mass, what lies within the reach: the squared distance follows a chi-squared law
        half = torch.tensor([self.modes.shape[1] / 2, REACH**2 / 2], dtype=torch.float64, device=self.hits.device)
        within = torch.special.gammainc(half[0], half[1])
        beyond = (share.sum() - within).abs()
        distance = 0.5 * ((share - within / len(self.modes)).abs().sum() + beyond)
        return Coverage((self.hits >= least).sum().double(), share.sum(), distance)
