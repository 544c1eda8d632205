"""One vector of a sequence of vectors."""

import torch
from torch import Tensor


def mean_over_known(x: Tensor, known: Tensor) -> Tensor:
    """Mean over the places of each sequence that are no padding.

    Args:
        x: (B, T, D).
        known: bool (B, T), False at padding.

    Returns:
        (B, D); zero for a sequence of padding alone.
    """
    weight = known.to(x.dtype).unsqueeze(-1)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


def max_over_known(x: Tensor, known: Tensor) -> Tensor:
    """Greatest value of each entry over the places of each sequence that are no padding.

    Args:
        x: (B, T, D).
        known: bool (B, T), False at padding.

    Returns:
        (B, D); zero for a sequence of padding alone.
    """
    greatest = x.masked_fill(~known.unsqueeze(-1), -torch.inf).amax(1)
    return greatest.masked_fill(~known.any(1, keepdim=True), 0.0)
