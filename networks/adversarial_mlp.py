"""Fully connected generator and discriminator."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from networks.activations import Activation
from networks.conditioning import ClassInput, ProjectionHead
from networks.mlp import checked_widths, hidden_layers
from networks.spectral_norm import spectrally_normalised


class MLPGenerator(nn.Module):
    """Hidden layers from a latent code to an example: a point in space, or an image in [0, 1].

    Args:
        latent_dim: width of the code, D; supplied by the model.
        data_shape: (N,) of points or (C, H, W) of images, which end in a sigmoid; supplied by the model.
        num_classes: number of classes, 0 for an unconditional generator; supplied by the model.
        hidden: widths of the hidden layers from the code outwards.
        activation: after each hidden layer.
    """

    def __init__(
        self,
        latent_dim: int,
        data_shape: Sequence[int],
        num_classes: int = 0,
        hidden: Sequence[int] = (128, 128),
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.input = ClassInput(latent_dim, num_classes)
        widths = [self.input.out_features, *checked_widths(hidden)]
        self.layers = nn.Sequential(
            *hidden_layers(widths, activation),
            nn.Linear(widths[-1], prod(data_shape)),
            nn.Sigmoid() if len(data_shape) == 3 else nn.Identity(),
            nn.Unflatten(1, tuple(data_shape)),
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, D) and int64 (B,) -> (B, *data_shape)."""
        example: Tensor = self.layers(self.input(z, label))
        return example


class MLPDiscriminator(nn.Module):
    """Hidden layers from an example to its score.

    Args:
        data_shape: of one example; supplied by the model.
        num_classes: number of classes, 0 for an unconditional discriminator; supplied by the model.
        hidden: widths of the hidden layers from the example inwards.
        activation: after each hidden layer.
        spectral_norm: divide every weight by its largest singular value.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int = 0,
        hidden: Sequence[int] = (128, 128),
        activation: Activation = "leaky_relu",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [prod(data_shape), *checked_widths(hidden)]
        self.features = nn.Sequential(nn.Flatten(), *hidden_layers(widths, activation))
        self.head = ProjectionHead(widths[-1], num_classes)
        if spectral_norm:
            spectrally_normalised(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, *data_shape) and int64 (B,) -> (B,)."""
        score: Tensor = self.head(self.features(x), label)
        return score
