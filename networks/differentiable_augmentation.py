"""Augmentation that gradients flow through, of what the discriminator sees."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.noise import Noise

Policy = Literal["color", "translation", "cutout"]


class DifferentiableAugmentation(nn.Module):
    """Changes real and generated images alike, so that few images do for the discriminator to learn from.

    Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (2020).

    Args:
        policy: any of `color` (brightness, saturation, contrast), `translation` and `cutout`, applied in this order.
        translation: largest shift, as a share of the sides.
        cutout: side of the square that is cut out, as a share of the image's.
    """

    def __init__(
        self,
        policy: Sequence[Policy] = ("color", "translation", "cutout"),
        translation: float = 0.125,
        cutout: float = 0.5,
    ) -> None:
        super().__init__()
        if unknown := set(policy) - {"color", "translation", "cutout"}:
            raise ValueError(f"policy has {min(unknown)!r}: choose from color, translation and cutout")
        for name, value in {"translation": translation, "cutout": cutout}.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}: give a share of the sides in [0, 1)")
        self.policy = tuple(policy)
        self.translation = translation
        self.cutout = cutout

    def forward(self, image: Tensor, noise: Noise) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), every image with draws of its own from the noise."""
        if image.ndim != 4:
            raise ValueError(f"augmentation is for images, these are of shape {tuple(image.shape[1:])}: leave it out")
        if "color" in self.policy:
            image = _color(image, noise.uniform(3).to(image.dtype))
        if "translation" in self.policy:
            image = _translated(image, noise.uniform(2), self.translation)
        if "cutout" in self.policy:
            image = _cut_out(image, noise.uniform(2), self.cutout)
        return image


def _color(image: Tensor, draw: Tensor) -> Tensor:
    """Brightness of +-0.5 on a scale from -1 to 1, saturation of 0 to 2, contrast of 0.5 to 1.5."""
    brightness, saturation, contrast = draw.view(*draw.shape, 1, 1, 1).unbind(1)  # (B, 1, 1, 1) each
    image = image + 0.5 * (brightness - 0.5)
    grey = image.mean(1, keepdim=True)
    image = grey + 2 * saturation * (image - grey)
    mean = image.mean((1, 2, 3), keepdim=True)
    return mean + (0.5 + contrast) * (image - mean)


def _translated(image: Tensor, draw: Tensor, share: float) -> Tensor:
    """Shift by whole pixels; what comes in from outside is black."""
    _, _, height, width = image.shape
    down, right = round(share * height), round(share * width)
    padded = F.pad(image, (right, right, down, down))
    top = (draw[:, 0] * (2 * down + 1)).long()
    left = (draw[:, 1] * (2 * right + 1)).long()
    rows = top.unsqueeze(1) + torch.arange(height, device=image.device)  # (B, H)
    columns = left.unsqueeze(1) + torch.arange(width, device=image.device)  # (B, W)
    every = torch.arange(len(image), device=image.device).view(-1, 1, 1)
    return padded.permute(0, 2, 3, 1)[every, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def _cut_out(image: Tensor, draw: Tensor, share: float) -> Tensor:
    """Make a square grey, whose centre lies anywhere in the image."""
    _, _, height, width = image.shape
    mask = _beside(draw[:, 0], height, share).unsqueeze(2) | _beside(draw[:, 1], width, share).unsqueeze(1)
    return torch.where(mask.unsqueeze(1), image, 0.5)


def _beside(draw: Tensor, side: int, share: float) -> Tensor:
    """Which rows (or columns) lie outside the square, (B, side)."""
    place = torch.arange(side, device=draw.device) + 0.5
    return (place - draw.unsqueeze(1) * side).abs() > 0.5 * share * side
