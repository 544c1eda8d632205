"""Attention rollout: which places of the input reach a place of the output, through all layers."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

HeadFusion = Literal["mean", "max", "min"]
"""How the heads of a layer become one map."""


def rollout(layers: Sequence[Tensor], fusion: HeadFusion = "mean", residual: float = 0.5) -> Tensor:
    """Follow attention from the last layer down to the input, past the ways around each layer.

    Each layer passes on `residual` of what stands at a place, and the rest of what its heads attend to:

        A'_l = residual I + (1 - residual) A_l,  each row divided by its sum,    rollout = A'_L ... A'_2 A'_1

    Source: Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (2020), equation 1. The paper takes the mean
    of the heads and a residual of one half.

    Args:
        layers: weights of attention within one sequence, (B, H, T, T), from the lowest layer up; at least one. Causal
            ones stay causal. A place that attends to nothing keeps what stands there.
        fusion: how the heads of a layer become one map.
        residual: share that goes around each layer, in [0, 1].

    Returns:
        (B, T, T) in float32: row t says how much of each place of the input arrives at place t; its sum is 1.

    Raises:
        ValueError: if there are no layers, they are not of one sequence, or an argument is impossible.
    """
    if not layers:
        raise ValueError("layers is []: a rollout goes through at least one")
    if not 0 <= residual <= 1:
        raise ValueError(f"residual is {residual}: it is a share, in [0, 1]")
    queries, keys = layers[0].shape[-2:]
    if queries != keys:
        raise ValueError(f"layers are {queries}x{keys}: a rollout needs attention of a sequence to itself")
    own = torch.eye(keys, device=layers[0].device)
    flow = own.expand(len(layers[0]), -1, -1)
    for weights in layers:
        mixed = residual * own + (1 - residual) * _fused(weights.float(), fusion)
        flow = _rows_of_one(mixed, own) @ flow
    return flow


def _fused(weights: Tensor, fusion: HeadFusion) -> Tensor:
    """One map of the heads, (B, H, T, T) -> (B, T, T)."""
    if fusion == "mean":
        return weights.mean(1)
    if fusion == "max":
        return weights.amax(1)
    if fusion == "min":
        return weights.amin(1)
    raise ValueError(f"fusion is {fusion!r}: choose mean, max or min")


def _rows_of_one(weights: Tensor, own: Tensor) -> Tensor:
    """Rows divided by their sums; one that is empty stays where it is."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp(min=torch.finfo(weights.dtype).tiny), own)
