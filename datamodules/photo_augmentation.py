"""Augmentation of photographs, a whole batch at once."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.augmentation import BatchTransform

_YIQ = torch.tensor(  # of NTSC, from red, green and blue; the first row is luma, ITU-R BT.601
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], dtype=torch.float64
)


class PhotoAugmentation(BatchTransform):
    """Cuts a part out of each image and enlarges it again, mirrors half of them, and changes their colours.

    Every image has draws of its own, and the images of a batch are changed together by a few tensor operations, without
    a wait for the host.

    It does what torchvision's ``RandomResizedCrop``, ``RandomHorizontalFlip`` and ``ColorJitter`` do, but for this:

    - The aspect ratio is drawn among those that fit in the image; theirs draws again until one does.
    - Colours are changed always in the order below, and are cut off at 0 and 1 at the end only.
    - The hue is turned in the plane of chroma that keeps luma (YIQ), not in HSV, which does not keep it. So all four
      changes of colour are one affine map.

    Sources: Szegedy et al., "Going Deeper with Convolutions" (2015), for the crop; the default colours are those of
    He et al., "Momentum Contrast for Unsupervised Visual Representation Learning" (2020).

    Args:
        scale: Smallest and largest share of the image's area that is cut out. The papers start at 0.08 of photographs
            that are larger than what the network gets; here the images have that size already, and lose detail.
        ratio: Smallest and largest ratio of the part's width to its height.
        flip: Probability that an image is mirrored.
        brightness: Largest change of the factor 1 that all values are multiplied by.
        contrast: Same of the distance from the image's mean luma.
        saturation: Same of the distance from each pixel's luma.
        hue: Largest turn of the hue in either direction, in full turns, in [0, 0.5].

    Raises:
        ValueError: If an argument is impossible.
    """

    draws = 9

    def __init__(
        self,
        scale: tuple[float, float] = (0.25, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"scale is {tuple(scale)}: give two shares of the area in (0, 1], the smaller one first")
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise ValueError(f"ratio is {tuple(ratio)}: give two positive numbers, the smaller one first")
        if not 0 <= flip <= 1:
            raise ValueError(f"flip is {flip}: it is a probability, in [0, 1]")
        changes = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, change in changes.items():
            if not 0 <= change < math.inf:
                raise ValueError(f"{name} is {change}: give 0 or more")
        if not 0 <= hue <= 0.5:
            raise ValueError(f"hue is {hue}: it is a part of a full turn, in [0, 0.5]")
        self.scale = scale
        self.ratio = ratio
        self.flip = flip
        self.changes = tuple(changes.values())
        self.hue = hue

    def change(self, image: Tensor, draw: Tensor) -> Tensor:
        """Changes images, see `BatchTransform`.

        Raises:
            ValueError: If colours are to be changed that the images have not.
        """
        channels, height, width = image.shape[1:]
        if channels != 3 and (self.changes[2] or self.hue):
            raise ValueError(
                f"augmentation: saturation is {self.changes[2]} and hue {self.hue}, but images of {channels} channel(s)"
                " have neither: set both to 0"
            )
        box = crop_boxes(draw[:, :4], height, width, self.scale, self.ratio)
        image = crop_and_flip(image, box, draw[:, 4] < self.flip)
        if not any((*self.changes, self.hue)):
            return image
        low, high = (torch.tensor([max(0.0, 1 + sign * change) for change in self.changes]) for sign in (-1, 1))
        factors = low.to(draw) + (high - low).to(draw) * draw[:, 5:8]
        return change_colors(image, factors, self.hue * (2 * draw[:, 8] - 1))


def crop_boxes(draw: Tensor, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    """Chooses a part of each image: its area uniformly, the logarithm of its aspect ratio too, and its place.

    Args:
        draw: float64 (B, 4) in [0, 1).
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        scale: Range of the area, as a share of the image's.
        ratio: Range of width to height. It is narrowed to the ratios that fit in the image with this area; if none
            does, the nearest one is taken.

    Returns:
        int64 (B, 4): top, left, height and width of each part, in pixels.
    """
    area = (scale[0] + (scale[1] - scale[0]) * draw[:, 0]) * height * width
    fits = area / height**2, width**2 / area  # as low and as wide as the image
    low, high = (torch.full_like(area, end).clamp(*fits).log() for end in ratio)
    aspect = (low + (high - low) * draw[:, 1]).exp()
    size = torch.stack([(area / aspect).sqrt(), (area * aspect).sqrt()], dim=1).round()  # (B, 2)
    whole = torch.tensor([height, width], device=draw.device)
    size = size.long().clamp(min=1).minimum(whole)
    place = (draw[:, 2:4] * (whole - size + 1)).long()
    return torch.cat([place, size], dim=1)


def crop_and_flip(image: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    """Enlarges a part of each image to the size of the whole (bilinear), and mirrors some.

    Args:
        image: float (B, C, H, W).
        box: int64 (B, 4), top, left, height and width of each part, in pixels.
        flip: bool (B,).

    Returns:
        float (B, C, H, W).
    """
    height, width = image.shape[2:]
    top, left, rows, columns = box.unsqueeze(2).unbind(1)  # (B, 1) each
    down, across = (torch.arange(size, device=image.device).double() for size in (height, width))
    across = torch.where(flip.unsqueeze(1), width - 1 - across, across)  # (B, W)
    y = _sources(down, top, rows, height).to(image.dtype)  # (B, H)
    x = _sources(across, left, columns, width).to(image.dtype)
    shape = (len(image), height, width)
    grid = torch.stack([x.unsqueeze(1).expand(shape), y.unsqueeze(2).expand(shape)], dim=3)  # (B, H, W, 2)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _sources(pixel: Tensor, start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where pixels of an enlarged part come from, from -1 at the image's one edge to 1 at the other.

    What lies between the part's edge and the centre of its outermost pixel is that pixel.

    Args:
        pixel: (size,) or (B, size), from 0.
        start: (B, 1), first pixel of the part.
        length: (B, 1), pixels of the part.
        size: of the image.
    """
    place = start + (pixel + 0.5) * length / size
    place = place.maximum(start + 0.5).minimum(start + length - 0.5)
    return 2 * place / size - 1


def change_colors(image: Tensor, factors: Tensor, hue: Tensor) -> Tensor:
    """Changes brightness, contrast, saturation and hue, in this order.

    Args:
        image: float (B, C, H, W) in [0, 1].
        factors: float64 (B, 3), of brightness, contrast and saturation; 1 changes nothing.
        hue: float64 (B,), in full turns, from red towards green; it and saturation change images of three channels
            only.

    Returns:
        float (B, C, H, W), cut off at 0 and 1.
    """
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1).unbind(1)  # (B, 1, 1) each
    if image.shape[1] == 3:
        matrix = _chroma_maps(saturation, hue.view(-1, 1, 1))  # (B, 3, 3)
        luma = _YIQ[0].tolist()
    else:
        matrix = torch.eye(image.shape[1], dtype=torch.float64, device=image.device).expand(len(image), -1, -1)
        luma = [1 / image.shape[1]] * image.shape[1]
    mean = _exact_mean(_weighted(image, torch.tensor(luma).to(image).expand(len(image), -1)))
    offset = (brightness * (1 - contrast) * mean.view(-1, 1, 1)).to(image.dtype)
    changed = torch.empty_like(image)
    for row, channel in zip((brightness * contrast * matrix).to(image.dtype).unbind(1), changed.unbind(1), strict=True):
        channel.copy_(_weighted(image, row).add_(offset))
    return changed.clamp_(0, 1)


def _weighted(image: Tensor, weights: Tensor) -> Tensor:
    """Sum of the channels of each image, (B, C, H, W) by (B, C) -> (B, H, W)."""
    first, *others = zip(image.unbind(1), weights[:, :, None, None].unbind(1), strict=True)
    total = first[0] * first[1]
    for channel, weight in others:
        total += channel * weight
    return total


def _exact_mean(values: Tensor) -> Tensor:
    """Mean of values in [0, 1] over each image, (B, H, W) -> float64 (B,).

    They are rounded to whole numbers, whose sum is the same in whatever order a device adds them.
    """
    rows = (values * 2**12).round_().sum(2)  # exact up to 4096 columns, as float32 has 24 bits
    return rows.double().sum(1) / (2**12 * values[0].numel())


def _chroma_maps(saturation: Tensor, hue: Tensor) -> Tensor:
    """Linear maps of colours that keep luma, and scale and turn chroma, (B, 3, 3) of (B, 1, 1)."""
    to_yiq, to_rgb = _YIQ, torch.linalg.inv(_YIQ)
    kept = torch.outer(to_rgb[:, 0], to_yiq[0])
    scaled = torch.eye(3, dtype=torch.float64) - kept
    turned = torch.outer(to_rgb[:, 1], to_yiq[2]) - torch.outer(to_rgb[:, 2], to_yiq[1])
    kept, scaled, turned = (part.to(hue.device) for part in (kept, scaled, turned))
    angle = 2 * math.pi * hue
    return kept + saturation * (angle.cos() * scaled + angle.sin() * turned)
