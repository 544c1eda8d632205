"""Which parameters are drawn towards zero."""

from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class PartlyDecayed(Protocol):
    """A module with parameters that are drawn nowhere, whatever their shape."""

    def without_decay(self) -> list[nn.Parameter]:
        """These parameters."""


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices with its own weight decay, gains and biases without any.

    A bias or the gain of a normalisation is no direction that could be overfitted, and has a scale of its own. A matrix
    that is used twice, as a tied embedding is, comes once. A module within may name parameters of its own that are
    vectors by nature (`PartlyDecayed`).

    Args:
        module: whose parameters are trained, those that require gradients.

    Returns:
        A group of the parameters that are decayed, and one of the others, with a `weight_decay` of 0; each
        only if there are any.
    """
    parts = [part for part in module.modules() if isinstance(part, PartlyDecayed)]
    vectors = {id(vector) for part in parts for vector in part.without_decay()}
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim >= 2 and id(parameter) not in vectors else others).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
