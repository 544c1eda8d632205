"""Convolutional encoder and decoder that mirror one another for any image size."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from networks.activations import Activation, activation_class
from networks.shapes import ImageShape

_KERNEL, _STRIDE, _PADDING = 3, 2, 1
_SMALLEST = 2  # a feature map of one pixel has no neighbourhood left to convolve


class ConvEncoder(nn.Sequential):
    """3x3 convolutions of stride 2, each halving height and width (rounded up), then a linear layer.

    Args:
        image_shape: shape of the images; supplied by the model.
        out_features: width of the code; supplied by the model.
        channels: output channels of each convolution, from the image inwards.
        activation: after each convolution.

    Raises:
        ValueError: if the image is too small to be halved that often.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        out_features: int,
        channels: Sequence[int] = (32, 64),
        activation: Activation = "relu",
    ) -> None:
        sizes = _sizes(image_shape, channels)
        make_activation = activation_class(activation)
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([image_shape.channels, *channels]):
            layers += [nn.Conv2d(narrow, wide, _KERNEL, _STRIDE, _PADDING), make_activation()]
        height, width = sizes[-1]
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * width, out_features))


class ConvDecoder(nn.Sequential):
    """A linear layer, then 3x3 transposed convolutions of stride 2 that retrace the encoder's sizes.

    Args:
        in_features: width of the code; supplied by the model.
        image_shape: shape of the images; supplied by the model.
        channels: input channels of each transposed convolution, from the code outwards.
        activation: before each transposed convolution. The output is unbounded.

    Raises:
        ValueError: if the image is too small to be halved that often.
    """

    def __init__(
        self,
        in_features: int,
        image_shape: ImageShape,
        channels: Sequence[int] = (64, 32),
        activation: Activation = "relu",
    ) -> None:
        sizes = _sizes(image_shape, channels)[::-1]
        make_activation = activation_class(activation)
        (height, width), *_ = sizes
        layers: list[nn.Module] = [
            nn.Linear(in_features, channels[0] * height * width),
            nn.Unflatten(1, (channels[0], height, width)),
        ]
        for (wide, narrow), (before, after) in zip(
            pairwise([*channels, image_shape.channels]), pairwise(sizes), strict=True
        ):
            # an even size came from halving exactly, an odd one lost nothing to round up
            missing = (after[0] - (2 * before[0] - 1), after[1] - (2 * before[1] - 1))
            layers += [
                make_activation(),
                nn.ConvTranspose2d(wide, narrow, _KERNEL, _STRIDE, _PADDING, output_padding=missing),
            ]
        super().__init__(*layers)


def _sizes(image_shape: ImageShape, channels: Sequence[int]) -> list[tuple[int, int]]:
    if not channels or min(channels) < 1:
        raise ValueError(f"channels is {list(channels)}: give at least one layer, and every layer at least one channel")
    halvings = len(channels)
    sizes = [(image_shape.height, image_shape.width)]
    for _ in range(halvings):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    if min(sizes[-1]) < _SMALLEST:
        raise ValueError(
            f"an image of {image_shape.height}x{image_shape.width} is too small for {halvings} convolutions of "
            f"stride 2 (they leave {sizes[-1][0]}x{sizes[-1][1]}): give fewer channels or a larger "
            "data.init_args.image_size"
        )
    return sizes
