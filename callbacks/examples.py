"""The examples of an evaluation that pictures are drawn of."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


class Examples:
    """The first examples of a pass over the data, on the host; images as uint8.

    Batches have them as `x`: images (B, C, H, W) or points in the plane (B, 2). Of others there are no pictures.

    Args:
        images: most images that are kept.
        points: most points that are kept.
    """

    def __init__(self, images: int, points: int) -> None:
        self._capacity = {4: images, 2: points}
        self.complete = False
        self.begin()

    def begin(self) -> None:
        """Start anew, unless a pass was completed."""
        if not self.complete:
            self.count = 0
            self._x: list[Tensor] = []
            self._index: list[Tensor] = []
            self._label: list[Tensor] = []

    def add(self, batch: Any) -> None:
        """Keep the examples of a batch for which there is room."""
        x = getattr(batch, "x", None)
        if self.complete or not isinstance(x, Tensor) or (x.ndim == 2 and x.shape[1] != 2):
            return
        room = self._capacity.get(x.ndim, 0) - self.count
        if room <= 0:
            return
        kept = x[:room].detach()
        self._x.append((kept * 255).round().to("cpu", torch.uint8) if x.ndim == 4 else kept.float().cpu())
        self._index.append(batch.index[:room].cpu())
        if hasattr(batch, "label"):
            self._label.append(batch.label[:room].cpu())
        self.count += len(self._x[-1])

    @property
    def are_points(self) -> bool:
        """Whether the examples are points, not images."""
        return self.count > 0 and self._x[0].ndim == 2

    def batches(self) -> Iterator[Tensor]:
        """The examples in the batches they came in, float32; images in [0, 1]."""
        for x in self._x:
            yield x if self.are_points else x.float() / 255

    def first(self, n: int) -> tuple[Tensor, Tensor]:
        """Values, as those of `batches`, and indices of the first ``n`` examples."""
        return torch.cat(list(self.batches()))[:n], torch.cat(self._index)[:n]

    def labels(self) -> Tensor | None:
        """Classes of the examples, int64 (N,), where they are known."""
        return torch.cat(self._label) if self._label else None
