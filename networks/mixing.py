"""Training images that are each mixed with another one of their batch."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Beta


class Mixed(NamedTuple):
    """Mixed images, and what became of which.

    Attributes:
        image: (B, C, H, W).
        partner: int64 (B,), place in the batch of the image that each is mixed with.
        share: float32 (B,), of an image's own label in its target, in [0, 1]; the rest is the partner's.
    """

    image: Tensor
    partner: Tensor
    share: Tensor


class Mixing(nn.Module):
    """Mixes each image of a batch with a partner, the batch in a random order.

    The share of an image is drawn from Beta(alpha, alpha), for each image anew. The random numbers are those of the
    global generator of the images' device, as of other noise in training. Each process mixes within its own part of a
    batch.

    Args:
        alpha: small ones leave most images nearly as they were, 1 makes all shares equally likely.

    Raises:
        ValueError: if alpha is not positive.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not alpha > 0:
            raise ValueError(f"alpha is {alpha}: give a positive number, or leave mixing out")
        self.alpha = alpha

    def forward(self, image: Tensor) -> Mixed:
        """Mix images (B, C, H, W)."""
        partner = torch.randperm(len(image), device=image.device)
        alpha = torch.full((len(image),), self.alpha, device=image.device)
        mixed, share = self.mix(image, image[partner], Beta(alpha, alpha).sample())
        return Mixed(mixed, partner, share)

    @abstractmethod
    def mix(self, image: Tensor, other: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images with others, both (B, C, H, W), by shares (B,); give them and the shares that they really have."""


class MixUp(Mixing):
    """Means of two images, weighted by the share.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (2018).

    Args:
        alpha: see `Mixing`; the paper takes 0.1 to 0.4 for photographs.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__(alpha)

    def mix(self, image: Tensor, other: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted means."""
        weight = share.to(image.dtype).view(-1, 1, 1, 1)
        return weight * image + (1 - weight) * other, share


class CutMix(Mixing):
    """Images with a rectangle of another one, which covers all but the share.

    The rectangle has the proportions of the image and its centre anywhere in it. What would lie outside is cut off, and
    the share is that of the pixels which are left.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features" (2019).

    Args:
        alpha: see `Mixing`; the paper takes 1.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha)

    def mix(self, image: Tensor, other: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Other within a rectangle, image around it."""
        side = (1 - share).sqrt()
        down, across = (_stretch(side, size) for size in image.shape[2:])  # (B, H) and (B, W)
        inside = down.unsqueeze(2) & across.unsqueeze(1)  # (B, H, W)
        return torch.where(inside.unsqueeze(1), other, image), 1 - inside.float().mean((1, 2))


def _stretch(side: Tensor, size: int) -> Tensor:
    """Which of so many pixels lie in a stretch about a random centre, bool (B, size).

    Args:
        side: (B,), its length as a share of the size.
        size: in pixels.
    """
    half = (side * size).long() // 2
    centre = torch.randint(size, side.shape, device=side.device)
    pixel = torch.arange(size, device=side.device)
    return (pixel >= (centre - half).unsqueeze(1)) & (pixel < (centre + half).unsqueeze(1))
