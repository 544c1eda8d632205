"""Deep convolutional generator and discriminator for images, with the constraints of DCGAN.

Source: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks" (2016): strided convolutions, batch normalisation, ReLU and tanh in the generator, leaky ReLU in the
discriminator.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from networks.conditioning import ClassInput, ProjectionHead
from networks.spectral_norm import spectrally_normalised

_KERNEL, _STRIDE, _PADDING = 4, 2, 1  # halves or doubles an even side exactly
_SMALLEST = 4
_SLOPE = 0.2

Normalisation = Literal["batch", "spectral", "none"]


class DCGANGenerator(nn.Module):
    """A linear layer to a small feature map, then transposed convolutions that each double its sides.

    The sides are those of the image, halved as long as they are even and 4 or more remain: 32 and 64 begin at 4, 28 at
    7.

    Args:
        latent_dim: width of the code, D; supplied by the model.
        data_shape: (C, H, W); supplied by the model.
        num_classes: number of classes, 0 for an unconditional generator; supplied by the model.
        width: channels before the last layer; every layer before has twice as many.
    """

    def __init__(self, latent_dim: int, data_shape: Sequence[int], num_classes: int = 0, width: int = 64) -> None:
        super().__init__()
        channels, sizes = plan(data_shape, width)
        widths, (height, side) = channels[::-1], sizes[-1]
        self.input = ClassInput(latent_dim, num_classes)
        layers: list[nn.Module] = [
            nn.Linear(self.input.out_features, widths[0] * height * side, bias=False),
            nn.Unflatten(1, (widths[0], height, side)),
        ]
        for wide, narrow in pairwise(widths):
            layers += [
                *(nn.BatchNorm2d(wide), nn.ReLU(inplace=True)),
                nn.ConvTranspose2d(wide, narrow, _KERNEL, _STRIDE, _PADDING, bias=False),
            ]
        layers += [
            *(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)),
            nn.ConvTranspose2d(widths[-1], data_shape[0], _KERNEL, _STRIDE, _PADDING),
            nn.Tanh(),
        ]
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, D) and int64 (B,) -> (B, C, H, W) in [0, 1]."""
        image: Tensor = self.layers(self.input(z, label))
        return 0.5 * (image + 1)


class DCGANDiscriminator(nn.Module):
    """Convolutions that each halve the sides, then a linear score.

    Args:
        data_shape: (C, H, W); supplied by the model.
        num_classes: number of classes, 0 for an unconditional discriminator; supplied by the model.
        width: channels after the first layer; every layer behind has twice as many.
        normalisation: `batch` behind all layers but the first, `spectral` of all weights, or `none`.
    """

    def __init__(
        self, data_shape: Sequence[int], num_classes: int = 0, width: int = 64, normalisation: Normalisation = "batch"
    ) -> None:
        super().__init__()
        if normalisation not in ("batch", "spectral", "none"):
            raise ValueError(f"normalisation is {normalisation!r}: choose batch, spectral or none")
        channels, sizes = plan(data_shape, width)
        batch = normalisation == "batch"
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([data_shape[0], *channels]):
            normalised = batch and len(layers) > 0
            layers.append(nn.Conv2d(narrow, wide, _KERNEL, _STRIDE, _PADDING, bias=not normalised))
            layers += [nn.BatchNorm2d(wide)] if normalised else []
            layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = ProjectionHead(channels[-1] * sizes[-1][0] * sizes[-1][1], num_classes)
        initialise(self)
        if normalisation == "spectral":
            spectrally_normalised(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, C, H, W) in [0, 1] and int64 (B,) -> (B,)."""
        score: Tensor = self.head(self.features(2 * x - 1), label)
        return score


def plan(data_shape: Sequence[int], width: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Channels and sizes behind each halving of an image.

    Args:
        data_shape: (C, H, W).
        width: channels behind the first.

    Raises:
        ValueError: if there is no image, or none that can be halved.
    """
    if width < 1:
        raise ValueError(f"width is {width}: give every layer at least one channel")
    if len(data_shape) != 3:
        raise ValueError(
            f"data of shape {tuple(data_shape)} are no images: take MLPGenerator and MLPDiscriminator for points"
        )
    height, side = data_shape[1:]
    channels: list[int] = []
    sizes: list[tuple[int, int]] = []
    while height % 2 == side % 2 == 0 and min(height, side) >= 2 * _SMALLEST:
        height, side = height // 2, side // 2
        sizes.append((height, side))
        channels.append(width * 2 ** len(channels))
    if not sizes:
        raise ValueError(
            f"an image of {data_shape[1]}x{data_shape[2]} cannot be halved evenly to 4 pixels or more: set "
            "data.init_args.image_size to 28, 32 or 64"
        )
    return channels, sizes


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), those of batch normalisation around 1 (Radford et al. 2016, section 4)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
