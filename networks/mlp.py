"""Fully connected encoder and decoder."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from networks.activations import SATURATING, Activation, activation_class, initialise
from networks.shapes import ImageShape


class MLPEncoder(nn.Sequential):
    """Flatten, hidden layers with an activation each, one linear layer to the code.

    Args:
        image_shape: shape of the images; supplied by the model.
        out_features: width of the code; supplied by the model.
        hidden: widths of the hidden layers from the image inwards; empty for a linear map.
        activation: after each hidden layer.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        out_features: int,
        hidden: Sequence[int] = (512, 256),
        activation: Activation = "relu",
    ) -> None:
        widths = [image_shape.numel, *checked_widths(hidden)]
        super().__init__(nn.Flatten(), *hidden_layers(widths, activation), nn.Linear(widths[-1], out_features))
        _initialise(self, activation)


class MLPDecoder(nn.Sequential):
    """Hidden layers with an activation each, one linear layer to the image, or point. The output is unbounded.

    Args:
        in_features: width of the code; supplied by the model.
        image_shape: shape of the images, or (D,) of points; supplied by the model.
        hidden: widths of the hidden layers from the code outwards; empty for a linear map.
        activation: after each hidden layer.
    """

    def __init__(
        self,
        in_features: int,
        image_shape: Sequence[int],
        hidden: Sequence[int] = (256, 512),
        activation: Activation = "relu",
    ) -> None:
        widths = [in_features, *checked_widths(hidden)]
        super().__init__(
            *hidden_layers(widths, activation),
            nn.Linear(widths[-1], prod(image_shape)),
            nn.Unflatten(1, tuple(image_shape)),
        )
        _initialise(self, activation)


def hidden_layers(
    widths: Sequence[int], activation: Activation, batch_norm: bool = False, dropout: float = 0.0
) -> list[nn.Module]:
    """A linear layer and an activation between each two widths.

    Args:
        widths: from the input to the last hidden layer.
        activation: after each linear layer.
        batch_norm: normalise before each activation.
        dropout: share of units left out after each activation, in training.
    """
    make_activation = activation_class(activation)
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers += [
            nn.Linear(narrow, wide, bias=not batch_norm),  # the normalisation has a bias
            *([nn.BatchNorm1d(wide)] if batch_norm else []),
            make_activation(),
            *([nn.Dropout(dropout)] if dropout else []),
        ]
    return layers


def _initialise(network: nn.Module, activation: Activation) -> None:
    """Initialise layers whose activation saturates; others keep PyTorch's own initialisation."""
    if activation in SATURATING:
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                initialise(layer, activation)


def checked_widths(hidden: Sequence[int]) -> list[int]:
    """The widths of hidden layers.

    Raises:
        ValueError: if one is below 1.
    """
    if any(width < 1 for width in hidden):
        raise ValueError(f"hidden is {list(hidden)}: every layer needs at least one unit")
    return list(hidden)
