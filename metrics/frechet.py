"""The Fréchet distance between the Gaussians that fit two sets of features."""

import torch
from torch import Tensor
from torchmetrics import Metric

from metrics.two_sets import check_sizes


class FrechetDistance(Metric):
    r"""Squared Fréchet distance |mu - mu'|^2 + tr(S + S' - 2 (S S')^1/2), the FID where features are Inception's.

    Sums are kept in float64. tr (S S')^1/2 is the nuclear norm of S^1/2 S'^1/2, with the symmetric roots from
    eigenvalues that rounding made negative set to 0, in float64 on the CPU: so it is real and finite also for singular
    covariances, and identical sets are at distance 0. Covariances are divided by N - 1, as in published FIDs. The
    distance itself is biased upwards in small sets, so numbers are comparable only at equal set sizes.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium" (2017);
    Dowson and Landau, "The Fréchet Distance between Multivariate Normal Distributions" (1982).

    Args:
        dim: number of features, D.
    """

    higher_is_better = False
    full_state_update = False
    real_count: Tensor
    real_sum: Tensor
    real_outer: Tensor
    generated_count: Tensor
    generated_sum: Tensor
    generated_outer: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        for name in ("real", "generated"):
            self.add_state(f"{name}_count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{name}_sum", torch.zeros(dim, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{name}_outer", torch.zeros(dim, dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor, real: bool) -> None:
        """Add features (B, D) of real or of generated examples."""
        x = features.detach().double()
        if real:
            self.real_count = self.real_count + len(x)
            self.real_sum = self.real_sum + x.sum(0)
            self.real_outer = self.real_outer + x.T @ x
        else:
            self.generated_count = self.generated_count + len(x)
            self.generated_sum = self.generated_sum + x.sum(0)
            self.generated_outer = self.generated_outer + x.T @ x

    def compute(self) -> Tensor:
        """The distance, a float64 scalar; NaN if a feature is not finite.

        Raises:
            ValueError: if either set has fewer than two examples.
        """
        check_sizes(type(self).__name__, 2, int(self.real_count), int(self.generated_count))
        mean, covariance = _moments(self.real_count, self.real_sum, self.real_outer)
        other_mean, other_covariance = _moments(self.generated_count, self.generated_sum, self.generated_outer)
        return frechet_distance(mean, covariance, other_mean, other_covariance).to(self.real_sum.device)


def frechet_distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> Tensor:
    """Squared Fréchet distance of two Gaussians with means (D,) and covariances (D, D), a scalar on the CPU."""
    mean, covariance, other_mean, other_covariance = (
        moment.double().cpu() for moment in (mean, covariance, other_mean, other_covariance)
    )
    if not all(moment.isfinite().all() for moment in (mean, covariance, other_mean, other_covariance)):
        return torch.tensor(torch.nan, dtype=torch.float64)
    overlap = torch.linalg.svdvals(_root(covariance) @ _root(other_covariance)).sum()
    spread = covariance.trace() + other_covariance.trace() - 2 * overlap
    distance: Tensor = (mean - other_mean).square().sum() + spread.clamp_min(0)
    return distance


def _moments(count: Tensor, total: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
    mean = total / count
    return mean, (outer - count * torch.outer(mean, mean)) / (count - 1)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite matrix (D, D)."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return root
