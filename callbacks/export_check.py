"""Whether an exported file gives what the model gives, for batches and lengths that it was not made with."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from callbacks.export_formats import Reader
from callbacks.forward_path import BATCH, LENGTH, ForwardPath

TOLERANCE = 1e-4
"""The greatest deviation that is accepted, for outputs larger than one as a share of the largest."""


class Probe(NamedTuple):
    """Inputs of one size, and what the model makes of them.

    Attributes:
        inputs: (B, ...) each.
        output: (B, ...).
    """

    inputs: list[Tensor]
    output: Tensor


def probes(path: ForwardPath) -> list[Probe]:
    """What the model makes of a single example, of as many as the file is made with, and of more, and of lengths."""
    made = []
    with torch.no_grad():
        for place, (batch, more) in enumerate(_sizes(path)):
            inputs = path.examples(batch, more, seed=100 + 10 * place)
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


def _sizes(path: ForwardPath) -> Iterator[tuple[int, int]]:
    """Batch sizes, and by how much sequences are longer than those that the file is made with."""
    yield from ((1, 0), (BATCH, 0), (7, 0))
    if path.interface.axes:
        yield from ((1, 40), (3, 2), (3, -2), (1, -LENGTH))
