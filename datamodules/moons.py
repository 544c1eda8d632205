"""Two inter-twinning moons, and the same rotated: the smallest shift between two domains that can be looked at."""

import math
from typing import Any

import torch

from datamodules.points import DrawnPoints, LabelledPoints, positive

_TURN = 10**6  # rotations that differ by a millionth of a degree are draws of their own


class TwoMoons(DrawnPoints):
    """Points of two half circles that reach into each other, turned about the middle between them.

    The toy problem of Ganin et al., "Domain-Adversarial Training of Neural Networks" (JMLR 2016, section 5.1.1): a
    lower moon (class 0) and an upper one (class 1) of 150 points each; the target is drawn in the same way and turned
    by 35 degrees. Radius and noise are those of the authors' code: scikit-learn's `make_moons` with noise 0.05, moved
    so that the middle between the circles' centres is the origin, and doubled.

    The upper moon is the upper half of a circle around (-radius / 2, -radius / 4), the lower one the lower half of a
    circle around (radius / 2, radius / 4). Classes are equally frequent (with an odd number of points the lower has one
    more) and come in random order. The place along the moon is drawn uniformly. `rotation` is one of the keys of the
    draw, so two domains that differ in it hold different points, not the same ones turned.

    Args:
        rotation: Degrees, counter-clockwise about the origin.
        noise: Standard deviation, along each axis, of the Gaussian noise that is added.
        radius: Of the half circles.
        train_size: See `SizedParts`.
        val_size: See `SizedParts`.
        test_size: See `SizedParts`.
        **kwargs: See `SizedParts`.

    Raises:
        ValueError: If a size is impossible.
    """

    num_classes = 2
    class_names = ("lower", "upper")

    def __init__(
        self,
        *,
        rotation: float = 0.0,
        noise: float = 0.1,
        radius: float = 2.0,
        train_size: int = 300,
        val_size: int = 300,
        test_size: int = 1_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(train_size=train_size, val_size=val_size, test_size=test_size, **kwargs)
        positive(radius=radius)
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise={noise} is impossible: choose 0 or a positive number")
        if not -360 <= rotation <= 360:
            raise ValueError(f"rotation={rotation} is not an angle in degrees: choose one from -360 to 360")
        self.rotation = rotation
        self.noise = noise
        self.radius = radius

    def draw(self, size: int, stream: int) -> LabelledPoints:
        """Draws the class of each point, its place along the moon, and its noise.

        Args:
            size: Number of points.
            stream: Which of the independent draws under `split_seed` is wanted.
        """
        generator = self.generator(stream, round(self.rotation * _TURN))
        label = torch.randperm(size, generator=generator) % 2
        angle = math.pi * torch.rand(size, generator=generator)
        upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
        point = self.radius * torch.where(label[:, None] == 1, upper, -upper)  # the lower moon mirrors the upper one
        point = point + self.noise * torch.randn(size, 2, generator=generator)
        turn = math.radians(self.rotation)
        matrix = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        return LabelledPoints(point @ matrix.T, label)
