"""Small residual generator and discriminator, the latter with spectral normalisation.

Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018), table 4.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from networks.conditioning import ClassInput, ProjectionHead
from networks.dcgan import plan
from networks.spectral_norm import spectrally_normalised

_FLAT_BLOCKS = 2  # of the discriminator, behind those that halve the sides


class ResidualGenerator(nn.Module):
    """A linear layer to a small feature map, then residual blocks that each double its sides.

    Args:
        latent_dim: width of the code, D; supplied by the model.
        data_shape: (C, H, W); supplied by the model.
        num_classes: number of classes, 0 for an unconditional generator; supplied by the model.
        width: channels of every block.
    """

    def __init__(self, latent_dim: int, data_shape: Sequence[int], num_classes: int = 0, width: int = 128) -> None:
        super().__init__()
        _, sizes = plan(data_shape, width)
        height, side = sizes[-1]
        self.input = ClassInput(latent_dim, num_classes)
        self.layers = nn.Sequential(
            nn.Linear(self.input.out_features, width * height * side),
            nn.Unflatten(1, (width, height, side)),
            *(_UpBlock(width) for _ in sizes),
            *(nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, data_shape[0], 3, padding=1)),
            nn.Tanh(),
        )
        _initialise(self)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, D) and int64 (B,) -> (B, C, H, W) in [0, 1]."""
        image: Tensor = self.layers(self.input(z, label))
        return 0.5 * (image + 1)


class ResidualDiscriminator(nn.Module):
    """Residual blocks that each halve the sides, two more that do not, and the score of the sum over all places.

    Args:
        data_shape: (C, H, W); supplied by the model.
        num_classes: number of classes, 0 for an unconditional discriminator; supplied by the model.
        width: channels of every block.
        spectral_norm: divide every weight by its largest singular value.
    """

    def __init__(
        self, data_shape: Sequence[int], num_classes: int = 0, width: int = 128, spectral_norm: bool = True
    ) -> None:
        super().__init__()
        _, sizes = plan(data_shape, width)
        halving = sizes[: max(1, len(sizes) - 1)]  # those of the paper's 32 pixels end at 8
        self.features = nn.Sequential(
            *(
                _DownBlock(data_shape[0] if block == 0 else width, width, halves=True, first=block == 0)
                for block in range(len(halving))
            ),
            *(_DownBlock(width, width, halves=False, first=False) for _ in range(_FLAT_BLOCKS)),
            nn.ReLU(),
        )
        self.head = ProjectionHead(width, num_classes)
        _initialise(self)
        if spectral_norm:
            spectrally_normalised(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, C, H, W) in [0, 1] and int64 (B,) -> (B,)."""
        features = self.features(2 * x - 1).sum((2, 3))  # (B, F, H', W') -> (B, F)
        score: Tensor = self.head(features, label)
        return score


class _UpBlock(nn.Module):
    """(B, C, H, W) -> (B, C, 2H, 2W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *(nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Upsample(scale_factor=2)),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            *(nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1)),
        )
        self.shortcut = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.residual(x) + self.shortcut(x)
        return out


class _DownBlock(nn.Module):
    """(B, C, H, W) -> (B, C', H/2, W/2), or the same size."""

    def __init__(self, in_channels: int, width: int, halves: bool, first: bool) -> None:
        super().__init__()
        self.halves = halves
        self.residual = nn.Sequential(
            nn.Identity() if first else nn.ReLU(),  # an image has no negative half to cut off
            nn.Conv2d(in_channels, width, 3, padding=1),
            *(nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1)),
        )
        self.shortcut = nn.Conv2d(in_channels, width, 1) if halves else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.residual(x) + self.shortcut(x)
        return F.avg_pool2d(out, 2) if self.halves else out


def _initialise(network: nn.Module) -> None:
    """Glorot's, as the paper's code; biases begin at 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
