"""Keeps the numerically delicate terms in float32 whatever the precision of the networks."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` in float32 with autocast off.

    Under ``bf16-mixed`` a network hands over bfloat16 logits; a sum of 784 log-likelihoods or a
    difference of squares in that type has lost its last digits. Floating tensors narrower than
    float32 are widened; float64 is left alone, so that tests can check formulas in double.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        device_type = tensors[0].device.type if tensors else "cpu"
        autocast_is_on = torch.is_autocast_enabled(device_type)
        # entering the context costs 50 microseconds even where it has nothing to switch off
        with torch.autocast(device_type, enabled=False) if autocast_is_on else contextlib.nullcontext():
            return function(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})

    return wrapped


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
