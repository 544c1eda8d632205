"""What images need before a network that was trained on others."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.shapes import ImageShape


class Preparation(nn.Module):
    """Brings images to the channels, the size and the normalisation that a network knows.

    Grey images are repeated over the channels of a network for colour. Colour is reduced to luma (ITU-R BT.601) for a
    network of one channel. Other sizes are resized, bicubic and antialiased, to the whole square or rectangle.

    Args:
        shape: of the images that the network takes.
        margin: pixels of that size on each side that stay black around the resized image.
        mean: of each channel, which is taken off; 0 if not given.
        std: of each channel, which the rest is divided by; 1 if not given.

    Raises:
        ValueError: if the margin leaves no image, or the mean or deviation does not fit the channels.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        shape: ImageShape,
        margin: int = 0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        least = min(shape.height, shape.width)
        if not 0 <= margin < least / 2:
            raise ValueError(f"margin is {margin}: choose one in [0, {(least + 1) // 2}), or no image is left")
        self.shape = shape
        self.margin = margin
        self.register_buffer("mean", _of_channels("mean", mean, shape), persistent=False)
        self.register_buffer("std", _of_channels("std", std, shape), persistent=False)
        if self.std is not None and not bool((self.std > 0).all()):
            raise ValueError(f"std is {std}: a deviation is more than 0")

    def forward(self, image: Tensor) -> Tensor:
        """Prepare images, (B, C, H, W) in [0, 1] -> (B, *shape).

        Raises:
            ValueError: if they are no images, or have channels that cannot become those of the network.
        """
        channels, height, width = self.shape
        if image.ndim != 4 or image.shape[1] not in (channels, 1, *([3] if channels == 1 else [])):
            takes = "one or three" if channels == 1 else f"one or {channels}"
            raise ValueError(f"the network was given {tuple(image.shape)}: it takes images (B, C, H, W) with C {takes}")
        if image.shape[1] == 3 and channels == 1:
            red, green, blue = image.unbind(1)
            image = (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)  # ITU-R BT.601
        inner = (height - 2 * self.margin, width - 2 * self.margin)
        if image.shape[2:] != inner:
            image = F.interpolate(image, inner, mode="bicubic", antialias=True).clamp(0, 1)
        image = F.pad(image, [self.margin] * 4).expand(-1, channels, -1, -1)
        if self.mean is not None:
            image = image - self.mean
        return image if self.std is None else image / self.std


def _of_channels(name: str, values: Sequence[float] | None, shape: ImageShape) -> Tensor | None:
    if values is None:
        return None
    if len(values) != shape.channels:
        raise ValueError(f"{name} is {list(values)}: give one value for each of the {shape.channels} channels")
    return torch.tensor(values).view(-1, 1, 1)
