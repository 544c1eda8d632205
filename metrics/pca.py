"""Principal components as the yardstick of an autoencoder."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torchmetrics import Metric


class PCAReconstruction(Metric):
    """Mean squared error of reconstructing images from their leading principal components.

    No linear autoencoder with as many latents can do better on the data the components were fitted
    to (Baldi and Hornik, 1989), so the ratio to this error says what the non-linearity bought.

    Args:
        components: number of principal components.
    """

    higher_is_better = False
    full_state_update = False
    squared_error: Tensor
    count: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        self.components = components
        self.add_state("squared_error", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self._mean = torch.empty(0)
        self._basis = torch.empty(0)

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Find the components by one pass over the training images.

        Args:
            batches: (B, C, H, W) each; the covariance is accumulated in float64.
        """
        count, total, outer = 0, torch.zeros(()), torch.zeros(())
        for batch in batches:
            x = batch.flatten(1).double()
            count, total, outer = count + len(x), total + x.sum(0), outer + x.T @ x
        mean = total / count
        covariance = outer / count - torch.outer(mean, mean)
        _, vectors = torch.linalg.eigh(covariance)  # eigenvalues in ascending order
        self._mean = mean.float().to(self.device)
        self._basis = vectors[:, -self.components :].float().to(self.device)

    def update(self, image: Tensor, target: Tensor) -> None:
        """Add the error of one batch.

        Args:
            image: (B, C, H, W), what is projected on the components; a corrupted image where the
                model sees one.
            target: (B, C, H, W), what it is compared with.
        """
        assert self._basis.numel(), "fit() comes before update()"
        code = (image.flatten(1) - self._mean) @ self._basis  # (B, D) -> (B, components)
        error = code @ self._basis.T + self._mean - target.flatten(1)
        self.squared_error += error.double().square().sum()
        self.count += error.numel()

    def compute(self) -> Tensor:
        """Squared error per value, over all images."""
        return (self.squared_error / self.count).float()
