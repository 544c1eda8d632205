"""Batch normalisation whose statistics belong to one domain each."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Domain = Literal["source", "target", "both"]


class DomainBatchNorm(nn.Module):
    """Batch normalisation of each domain by its own mean and variance, with one weight and bias for both.

    The two normalisations are PyTorch's own and without parameters, so that whatever lets batch normalisation see the
    batches of all processes converts them like any other.

    Source: Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation" (2016), algorithm 1; over a
    batch of both domains, Carlucci et al., "AutoDIAL" (2017), with alpha = 1.

    Args:
        norm: what to replace. Its parameters become those of both domains, and both begin with its statistics.

    Attributes:
        domain: whose statistics count. ``both``: the first half of a batch is of the source, the second of the target.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    source: _BatchNorm
    target: _BatchNorm
    domain: Domain

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.register_parameter("weight", norm.weight)
        self.register_parameter("bias", norm.bias)
        self.source, self.target = _without_parameters(norm), _without_parameters(norm)
        self.domain = "target"

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, *) over all dimensions but the second, and within the domain."""
        if self.domain == "both":
            assert len(input) % 2 == 0, "a batch of both domains has equally many rows of each"
            source, target = input.chunk(2)
            normalised: Tensor = torch.cat([self.source(source), self.target(target)])
        elif self.domain == "source":
            normalised = self.source(input)
        else:
            normalised = self.target(input)
        shape = [1, -1, *[1] * (input.ndim - 2)]
        if self.weight is not None:
            normalised = normalised * self.weight.view(shape)
        if self.bias is not None:
            normalised = normalised + self.bias.view(shape)
        return normalised.to(input.dtype)


def with_domain_statistics(module: nn.Module) -> nn.Module:
    """Replace all batch normalisation of a module by one that keeps source and target apart.

    Returns:
        The same module, changed in place; if it is a batch normalisation itself, its replacement.
    """
    if isinstance(module, _BatchNorm):
        return DomainBatchNorm(module)
    for name, child in module.named_children():
        if not isinstance(child, DomainBatchNorm):
            setattr(module, name, with_domain_statistics(child))
    return module


def at_domain(module: nn.Module, domain: Domain) -> None:
    """Say of which domain the next batches of a module are; without effect where nothing keeps the domains apart.

    Args:
        module: what `with_domain_statistics` gave, or holds it.
        domain: ``source``, ``target``, or ``both``: the first half of each batch is source, the second target.
    """
    for layer in module.modules():
        if isinstance(layer, DomainBatchNorm):
            layer.domain = domain


def _without_parameters(norm: _BatchNorm) -> _BatchNorm:
    bare = type(norm)(norm.num_features, norm.eps, norm.momentum, False, norm.track_running_stats)
    for name, buffer in norm.named_buffers():
        setattr(bare, name, buffer.clone())
    return bare.train(norm.training)
