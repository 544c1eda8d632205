"""Batch normalisation over the batches of all processes, on processors that PyTorch's own does not know."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class CPUSyncBatchNorm(_BatchNorm):
    """What `torch.nn.SyncBatchNorm` is on GPUs, for the CPU, where that raises an error.

    Mean and variance are over the batches of all processes together, in training; gradients flow through both. In
    evaluation and in one process it is ordinary batch normalisation.

    Source: Ioffe and Szegedy, "Batch Normalization" (2015).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, *) over all dimensions but the second, and over all processes."""
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return super().forward(input)
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        over = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = _sum(x.new_tensor(x.numel() / x.shape[1]))
        mean = _sum(x.sum(over)) / count  # (C,)
        centred = x - mean.view(shape)
        variance = _sum(centred.square().sum(over)) / count  # (C,)
        self._track(mean.detach(), variance.detach() * count / (count - 1))
        normalised = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"batch normalisation needs (B, C, *), not {tuple(input.shape)}")

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronise(model: nn.Module) -> list[tuple[nn.Module, Any]]:
    """Have all batch normalisation of a model see the batches of all processes; parameters and buffers stay.

    Returns:
        Each layer with the class that it had, to give it back.
    """
    layers: list[tuple[nn.Module, Any]] = [
        (module, type(module)) for module in model.modules() if isinstance(module, _BatchNorm)
    ]
    for module, _ in layers:
        module.__class__ = CPUSyncBatchNorm
    return layers


class _SumOverProcesses(torch.autograd.Function):
    """Every process gets the sum, so a change of one summand reaches the losses of all."""

    @staticmethod
    def forward(context: Any, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum(local: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(local)
    return total
