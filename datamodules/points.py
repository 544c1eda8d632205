"""Points that are drawn when they are asked for; mixtures of Gaussians, data whose every mode is known."""

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from datamodules.batch import PointBatch, UnlabelledPointBatch
from datamodules.drawn_parts import DrawnParts
from datamodules.resumable import at_least


class LabelledPoints:
    """Points with their classes.

    Args:
        point: float32 (N, D).
        label: int64 (N,), class of each.
    """

    def __init__(self, point: Tensor, label: Tensor) -> None:
        assert len(point) == len(label)
        self.point = point
        self.label = label

    def __len__(self) -> int:
        return len(self.point)

    def __getitems__(self, indices: Sequence[int]) -> PointBatch:
        """Returns the batch of the points at these positions."""
        index = torch.tensor(indices)
        return PointBatch(self.point.index_select(0, index), self.label.index_select(0, index), index)

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over points and labels."""
        return hashlib.sha256(self.point.numpy().tobytes() + self.label.numpy().tobytes()).hexdigest()

    def unlabelled(self) -> "UnlabelledPoints":
        """Returns the same points without their classes."""
        return UnlabelledPoints(self.point)


class UnlabelledPoints:
    """Points without classes.

    Args:
        point: float32 (N, D).
    """

    def __init__(self, point: Tensor) -> None:
        self.point = point

    def __len__(self) -> int:
        return len(self.point)

    def __getitems__(self, indices: Sequence[int]) -> UnlabelledPointBatch:
        """Returns the batch of the points at these positions."""
        index = torch.tensor(indices)
        return UnlabelledPointBatch(self.point.index_select(0, index), index)

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over the points."""
        return hashlib.sha256(self.point.numpy().tobytes()).hexdigest()

    def unlabelled(self) -> "UnlabelledPoints":
        """Returns itself."""
        return self


class DrawnPoints(DrawnParts[LabelledPoints]):
    """Points in the plane that are drawn when they are asked for, each part independently of the others."""

    example_name = "point"

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(map(str, range(self.num_classes)))

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return (2,)


class GaussianMixture(DrawnPoints):
    """Points of a mixture of isotropic Gaussians with equal weights.

    The label of a point is the mode that it was drawn from.

    Args:
        mode_std: Standard deviation of each mode along each axis.
        train_size: See `SizedParts`.
        val_size: See `SizedParts`.
        test_size: See `SizedParts`.
        **kwargs: See `SizedParts`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(
        self,
        *,
        mode_std: float,
        train_size: int = 20_000,
        val_size: int = 2_000,
        test_size: int = 10_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(train_size=train_size, val_size=val_size, test_size=test_size, **kwargs)
        positive(mode_std=mode_std)
        self.mode_std = mode_std

    @property
    @abstractmethod
    def modes(self) -> Tensor:
        """Centres of the modes, float32 (K, 2)."""

    @property
    def num_classes(self) -> int:
        """Number of modes."""
        return len(self.modes)

    def draw(self, size: int, stream: int) -> LabelledPoints:
        """Draws the mode of each point, and the point around it.

        Args:
            size: Number of points.
            stream: Which of the independent draws under `split_seed` is wanted.
        """
        generator = self.generator(stream)
        label = torch.randint(self.num_classes, (size,), generator=generator)
        return LabelledPoints(self.modes[label] + self.mode_std * torch.randn(size, 2, generator=generator), label)


class GaussianRing(GaussianMixture):
    """A mixture whose modes stand evenly on a circle around the origin.

    The defaults are the eight Gaussians of Metz et al., "Unrolled Generative Adversarial Networks" (2017).

    Args:
        n_modes: Number of modes.
        radius: Of the circle.
        mode_std: See `GaussianMixture`.
        **kwargs: See `GaussianMixture`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(self, *, n_modes: int = 8, radius: float = 2.0, mode_std: float = 0.02, **kwargs: Any) -> None:
        super().__init__(mode_std=mode_std, **kwargs)
        at_least(1, n_modes=n_modes)
        positive(radius=radius)
        self.n_modes = n_modes
        self.radius = radius

    @property
    def modes(self) -> Tensor:
        """Centres of the modes, float32 (n_modes, 2), counter-clockwise from the right."""
        angle = torch.arange(self.n_modes, dtype=torch.float64) * (2 * math.pi / self.n_modes)
        return (self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)).float()


class GaussianGrid(GaussianMixture):
    """A mixture whose modes stand on a square grid around the origin.

    The defaults are the 25 Gaussians of Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit
    Variational Learning" (2017), with the numbers of Lin et al., "PacGAN" (2018).

    Args:
        side: Modes along each side, so that there are side * side.
        spacing: Distance of neighbouring modes.
        mode_std: See `GaussianMixture`.
        **kwargs: See `GaussianMixture`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(self, *, side: int = 5, spacing: float = 2.0, mode_std: float = 0.05, **kwargs: Any) -> None:
        super().__init__(mode_std=mode_std, **kwargs)
        at_least(1, side=side)
        positive(spacing=spacing)
        self.side = side
        self.spacing = spacing

    @property
    def modes(self) -> Tensor:
        """Centres of the modes, float32 (side * side, 2), column by column from the lower left."""
        axis = self.spacing * (torch.arange(self.side, dtype=torch.float32) - (self.side - 1) / 2)
        return torch.cartesian_prod(axis, axis)


def positive(**lengths: float) -> None:
    """Refuse named lengths that are not positive.

    Raises:
        ValueError: Naming the first of them.
    """
    for name, value in lengths.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value} is impossible: choose a positive number")
