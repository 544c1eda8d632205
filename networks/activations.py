"""The activation functions a configuration can name."""

from typing import Literal

from torch import nn

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]

_CLASSES: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
SATURATING: frozenset[Activation] = frozenset({"tanh", "sigmoid"})


def activation_class(name: Activation) -> type[nn.Module]:
    """Look an activation up by name.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in _CLASSES:
        raise ValueError(f"activation is {name!r}: choose one of {', '.join(_CLASSES)}")
    return _CLASSES[name]


def initialise(layer: nn.Linear | nn.Conv2d, activation: Activation) -> None:
    """Keep the variance of signals from layer to layer.

    Sources: where the activation saturates, Glorot and Bengio, "Understanding the difficulty of training deep
    feedforward neural networks" (2010); else He et al., "Delving Deep into Rectifiers" (2015).
    """
    if activation in SATURATING:
        nn.init.xavier_uniform_(layer.weight)
    else:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
