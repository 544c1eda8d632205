"""Scikit-learn's digits blended with its photographs: a target domain that is always at hand."""

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datamodules.blending import blend
from datamodules.digits import Digits
from datamodules.resumable import at_least
from datamodules.seeding import derive_seed
from networks.shapes import ImageShape

_TILE = 12  # pixels; of the squares that each photograph is cut into, every fifth is of the test part


class BlendedDigits(Digits):
    """The 1,797 digits of `Digits` in colour, each blended with a crop of one of two photographs; no download.

    Made as MNIST-M (see `blend`) from the two photographs that scikit-learn holds, a Chinese temple and a flower, in
    the division of `Digits`. The photographs are shrunk first, because 8x8 of their own pixels hold no texture, and cut
    into squares of 12x12 pixels. Every fifth of them belongs to the test part, the others to the other parts.

    Args:
        shrink: How many times smaller the photographs are made.
        blend_seed: Seed of the crops; not `seed`, so that runs with different seeds share them.
        **kwargs: See `InMemoryImages`.

    Raises:
        ValueError: If a size is impossible.
    """

    native_shape = ImageShape(3, 8, 8)

    def __init__(self, *, shrink: int = 4, blend_seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        at_least(1, shrink=shrink)
        self.shrink = shrink
        self.blend_seed = blend_seed

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Reads and blends the fixed 80 % or the fixed 20 %.

        Raises:
            ValueError: If the photographs become smaller than the digits.
        """
        digit, label = super().read(train)
        generator = torch.Generator().manual_seed(derive_seed(self.blend_seed, int(train)))
        return blend(digit, self._photographs(train), generator), label

    def _photographs(self, train: bool) -> list[Tensor]:
        from sklearn.datasets import load_sample_images  # slow to import, and the other sets do without it

        parts = []
        for pixels in load_sample_images().images:
            whole = torch.tensor(pixels).permute(2, 0, 1)
            _, height, width = (side // self.shrink for side in whole.shape)
            small = transforms.resize(whole, [height, width], antialias=True)
            tiles = [tile for row in small.split(_TILE, dim=1) for tile in row.split(_TILE, dim=2)]
            parts += [tile for place, tile in enumerate(tiles) if (place % 5 == 0) != train]
        fitting = [part for part in parts if min(part.shape[1:]) >= self.native_shape.height]  # not all at the margins
        if not fitting:
            raise ValueError(f"shrink={self.shrink} leaves photographs smaller than the digits: choose a smaller one")
        return fitting
