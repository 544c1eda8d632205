"""Whether an exported file gives what the model gives, for batches and lengths that it was not made with."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from callbacks.export_formats import Reader
from callbacks.forward_path import ForwardPath
from networks import Interface

TOLERANCE = 1e-4
"""The greatest deviation that is accepted, for outputs larger than one as a share of the largest."""

_BATCH, _LENGTH = 2, 5  # of the examples that a file is made with; the lengths of two axes differ by one


class Probe(NamedTuple):
    """Inputs of one size, and what the model makes of them.

    Attributes:
        inputs: (B, ...) each.
        output: (B, ...).
    """

    inputs: list[Tensor]
    output: Tensor


def examples(interface: Interface, batch: int = _BATCH, more: int = 0, seed: int = 0) -> list[Tensor]:
    """Examples of what a model takes, one tensor for each input.

    Args:
        interface: of the model.
        batch: number of examples.
        more: by how much sequences are longer than those that a file is made with, as far as the model takes them.
        seed: of their values.
    """
    lengths = {}
    for place, axis in enumerate(interface.axes):
        longest = interface.longest(axis)
        length = max(1, _LENGTH + place + more)
        lengths[axis] = length if longest is None else min(length, longest)
    return [one.examples(batch, lengths, seed + place) for place, one in enumerate(interface.inputs)]


def probes(path: ForwardPath, interface: Interface) -> list[Probe]:
    """What the model makes of a single example, of as many as the file is made with, and of more, and of lengths."""
    made = []
    with torch.no_grad():
        for place, (batch, more) in enumerate(_sizes(interface)):
            inputs = examples(interface, batch, more, seed=100 + 10 * place)
            made.append(Probe(inputs, path(*inputs).clone()))
    return made


def deviation(read: Reader, probes: Sequence[Probe]) -> float:
    """The largest difference between the outputs of a file and of the model, see `TOLERANCE`; NaN where one is.

    Raises:
        RuntimeError: if the file cannot be run with inputs of these sizes, or gives outputs of other sizes.
    """
    worst = torch.zeros(())
    for probe in probes:
        with torch.no_grad():
            given = read(probe.inputs)
        if given.shape != probe.output.shape:
            raise RuntimeError(f"its output has the shape {tuple(given.shape)}, not {tuple(probe.output.shape)}")
        scale = probe.output.abs().max().clamp(min=1)
        worst = torch.maximum(worst, ((given - probe.output).abs().max() / scale).to(worst))
    return worst.item()


def output_shape(path: ForwardPath, interface: Interface) -> list[int | str]:
    """Shape of the output, with the names of the axes that may have any length, the batch first."""
    with torch.no_grad():
        few, many, longer = (
            path(*examples(interface, *sizes)).shape for sizes in ((_BATCH, 0), (_BATCH + 1, 0), (_BATCH, -1))
        )
    named: list[int | str] = list(few)
    named[0] = "batch"
    assert many == (few[0] + 1, *few[1:])
    for place, (size, other) in enumerate(zip(few, longer, strict=True)):
        if size != other:  # each axis has a length of its own among the examples
            named[place] = interface.axes[size - _LENGTH]
    return named


def _sizes(interface: Interface) -> Iterator[tuple[int, int]]:
    """Batch sizes, and by how much sequences are longer."""
    yield from ((1, 0), (_BATCH, 0), (7, 0))
    if interface.axes:
        yield from ((1, 40), (3, 2), (3, -2), (1, -_LENGTH))
