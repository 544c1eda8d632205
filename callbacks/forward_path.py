"""What a model's `forward` uses of it, and nothing else."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class ForwardPath(nn.Module):
    """A model's `forward` as a plain module, with the parts of the model that it uses.

    The parts are the model's own and have its names: what is kept are those of its direct parts, parameters and buffers
    that take part. So the discriminator of a generator or the metrics of a technique are in no file.

    Args:
        model: in eval mode.
        inputs: examples of what `forward` takes.
    """

    def __init__(self, model: LightningModule, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        with _Watch() as watch, torch.no_grad():
            model.forward(*inputs)
        for name, part in model.named_children():
            if any(id(value) in watch.seen for value in chain(part.parameters(), part.buffers())):
                self.add_module(name, part)
        for name, parameter in model.named_parameters(recurse=False):
            if id(parameter) in watch.seen:
                self.register_parameter(name, parameter)
        for name, buffer in model.named_buffers(recurse=False):
            if id(buffer) in watch.seen:
                self.register_buffer(name, buffer)
        self._forward = model.forward
        self.training = False

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the model's own."""
        output: Tensor = self._forward(*inputs)
        return output


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
