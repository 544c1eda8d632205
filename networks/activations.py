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


def activation_class(name: Activation) -> type[nn.Module]:
    """Look an activation up by name.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in _CLASSES:
        raise ValueError(f"activation is {name!r}: choose one of {', '.join(_CLASSES)}")
    return _CLASSES[name]
