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

_TEST_ROWS = 0.4, 0.6  # of the height of each photograph


class BlendedDigits(Digits):
    """The 1,797 digits of `Digits` in colour, each blended with a crop of one of two photographs; no download.

    Made as MNIST-M (see `blend`) from the two photographs that scikit-learn holds, a Chinese temple and a flower, in
    the division of `Digits`. The photographs are shrunk first, because 8x8 of their own pixels hold no texture. The
    middle fifth of the rows of each belongs to the test part, what is above and below it to the others.

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
            top, bottom = (round(share * height) for share in _TEST_ROWS)
            parts += [small[:, :top], small[:, bottom:]] if train else [small[:, top:bottom]]
        if any(min(part.shape[1:]) < self.native_shape.height for part in parts):
            raise ValueError(f"shrink={self.shrink} leaves photographs smaller than the digits: choose a smaller one")
        return parts
