"""Principal components as the yardstick of an autoencoder."""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor
from torchmetrics import Metric

_LARGEST_COVARIANCE = 4096  # values of an image; 128 MiB in float64


class PCAReconstruction(Metric):
    """Mean squared error of reconstructing images from their leading principal components.

    No linear autoencoder with as many latents can do better on the data the components were fitted
    to (Baldi and Hornik, 1989), so the ratio to this error says what the non-linearity bought. That
    holds where a model sees the image that it is to reconstruct; for one that sees a corrupted image
    the error is that of projecting the corrupted image, and no bound.

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
        self.add_state("squared_error", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")
        self._mean = torch.empty(0)
        self._basis = torch.empty(0)

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Find the components by one pass over the training images.

        Exactly, from the covariance in float64, for images of up to 4,096 values. Above, where the
        covariance would not fit, by scikit-learn's incremental PCA, which is close to it.

        Args:
            batches: (B, C, H, W) each.
        """
        flat = (batch.flatten(1) for batch in batches)
        first = next(flat)
        fit = _from_covariance if first.shape[1] <= _LARGEST_COVARIANCE else _incrementally
        mean, basis = fit(chain([first], flat), self.components)
        self._mean, self._basis = mean.float().to(self.device), basis.float().to(self.device)

    def update(self, image: Tensor, target: Tensor) -> None:
        """Add the error of one batch.

        Args:
            image: (B, C, H, W), what is projected on the components; a corrupted image where the
                model sees one.
            target: (B, C, H, W), what it is compared with.
        """
        assert self._basis.numel(), "fit() comes before update()"
        with torch.autocast(image.device.type, enabled=False):
            code = (image.flatten(1) - self._mean) @ self._basis  # (B, D) -> (B, components)
            error = code @ self._basis.T + self._mean - target.flatten(1)
            self.squared_error = self.squared_error + error.square().sum()
        self.count = self.count + error.numel()

    def compute(self) -> Tensor:
        """Squared error per value, over all images."""
        return self.squared_error / self.count


def _from_covariance(batches: Iterable[Tensor], components: int) -> tuple[Tensor, Tensor]:
    count, total, outer = 0, torch.zeros(()), torch.zeros(())
    for batch in batches:
        x = batch.double()
        count, total, outer = count + len(x), total + x.sum(0), outer + x.T @ x
    mean = total / count
    _, vectors = torch.linalg.eigh(outer / count - torch.outer(mean, mean))  # eigenvalues in ascending order
    return mean, vectors[:, -components:]


def _incrementally(batches: Iterable[Tensor], components: int) -> tuple[Tensor, Tensor]:
    from sklearn.decomposition import IncrementalPCA  # slow to import, and few runs need it

    pca: IncrementalPCA | None = None
    for batch in _of_at_least(components, batches):
        pca = pca or IncrementalPCA(min(components, len(batch)))
        pca.partial_fit(batch.numpy())
    assert pca is not None
    return torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_.T)


def _of_at_least(size: int, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Join batches until they hold so many rows; what is left at the end goes with the last."""
    held: list[Tensor] = []
    ready: Tensor | None = None
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= size:
            if ready is not None:
                yield ready
            ready, held = torch.cat(held), []
    rest = [*([] if ready is None else [ready]), *held]
    if rest:
        yield torch.cat(rest)
