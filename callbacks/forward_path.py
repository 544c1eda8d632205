"""What a model's `forward` uses of it, and nothing else."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from networks import Interface

BATCH, LENGTH = 2, 5
"""Sizes of the examples that files are made with; each further axis of a free length is longer by one."""


class ForwardPath(nn.Module):
    """A model's `forward` as a plain module, with the parts of the model that it uses.

    The parts are the model's own and have its names: what is kept are those of its direct parts, parameters and buffers
    that take part. So the discriminator of a generator or the metrics of a technique are in no file.

    Args:
        model: in eval mode, on the CPU.
        interface: what its `forward` takes and gives.

    Attributes:
        interface: the same.
    """

    def __init__(self, model: LightningModule, interface: Interface) -> None:
        super().__init__()
        self.interface = interface
        self._forward = model.forward
        self.training = False
        with _Watch() as watch, torch.no_grad():
            self(*self.examples())
        for name, part in model.named_children():
            if any(id(value) in watch.seen for value in chain(part.parameters(), part.buffers())):
                self.add_module(name, part)
        for name, parameter in model.named_parameters(recurse=False):
            if id(parameter) in watch.seen:
                self.register_parameter(name, parameter)
        for name, buffer in model.named_buffers(recurse=False):
            if id(buffer) in watch.seen:
                self.register_buffer(name, buffer)

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the model's own."""
        output: Tensor = self._forward(*inputs)
        return output

    def examples(self, batch: int = BATCH, more: int = 0, seed: int = 0) -> list[Tensor]:
        """Examples of what it takes, one tensor for each input.

        Args:
            batch: number of examples.
            more: by how much sequences are longer than those that files are made with, as far as it takes them.
            seed: of their values.
        """
        lengths = {}
        for place, axis in enumerate(self.interface.axes):
            longest, length = self.interface.longest(axis), max(1, LENGTH + place + more)
            lengths[axis] = length if longest is None else min(length, longest)
        return [one.examples(batch, lengths, seed + place) for place, one in enumerate(self.interface.inputs)]

    @torch.no_grad()
    def output_shape(self) -> tuple[int | str, ...]:
        """Shape of what it gives, in which a name stands for each length that may be any, the batch first."""
        shape = self(*self.examples()).shape
        longer = self(*self.examples(more=-1)).shape
        axes = self.interface.axes  # each has a length of its own among the examples
        free = [axes[a - LENGTH] if a != b else a for a, b in zip(shape[1:], longer[1:], strict=True)]
        return ("batch", *free)


class _Watch(TorchFunctionMode):
    """Notes each tensor that a function of PyTorch is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.seen.update(id(value) for value in _tensors((args, kwargs)))
        return func(*args, **kwargs)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
