"""Which parameters are drawn towards zero."""

from typing import Any

from torch import nn


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices with its own weight decay, gains and biases without any.

    A bias or the gain of a normalisation is no direction that could be overfitted, and has a scale of its own. A matrix
    that is used twice, as a tied embedding is, comes once.

    Args:
        module: whose parameters are trained, those that require gradients.

    Returns:
        A group of the parameters with two dimensions or more, and one of the others, with a `weight_decay` of 0; each
        only if there are any.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2]},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
