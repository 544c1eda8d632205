"""Where a model's random numbers come from: fresh in training, repeatable in evaluation."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Noise(Protocol):
    """A source of random numbers for one batch."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of shape (B, *shape)."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1) of shape (B, *shape)."""
        ...


class FreshNoise:
    """New numbers at every call, from the device's global generator (whose state a run saves).

    Args:
        index: (B,), only its length and device are used.
    """

    def __init__(self, index: Tensor) -> None:
        self._batch = len(index)
        self._device = index.device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of shape (B, *shape)."""
        return torch.randn(self._batch, *shape, device=self._device)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1) of shape (B, *shape)."""
        return torch.rand(self._batch, *shape, device=self._device)


class SeededNoise:
    """Numbers of a generator of its own, which follow from the seed alone.

    Args:
        batch: number of examples, B.
        seed: of the generator.
        device: where the numbers are.
    """

    def __init__(self, batch: int, seed: int, device: torch.device | str = "cpu") -> None:
        self._batch = batch
        self._generator = torch.Generator(device).manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of shape (B, *shape)."""
        return torch.randn(self._batch, *shape, generator=self._generator, device=self._generator.device)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1) of shape (B, *shape)."""
        return torch.rand(self._batch, *shape, generator=self._generator, device=self._generator.device)


class KeyedNoise:
    """Numbers that depend only on the seed, the example and how many draws came before.

    Evaluation uses it, so that a score depends neither on the batch size, nor on the number of
    processes, nor on how long training drew from the global generator, and two models that are
    compared under noise see the same noise. One generator is reseeded for each example: about
    10 microseconds each, which evaluation can afford and training need not.

    Args:
        index: (B,), position of each example in its part of the data.
        seed: chooses the whole family of numbers.
    """

    def __init__(self, index: Tensor, seed: int = 0) -> None:
        self._index = index.tolist()
        self._generator = torch.Generator(index.device)
        self._seed = seed
        self._draw = 0

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of shape (B, *shape)."""
        out = torch.empty(len(self._index), *shape, device=self._generator.device)
        for row, seed in zip(out, self._seeds(), strict=True):
            row.normal_(generator=self._generator.manual_seed(seed))
        return out

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1) of shape (B, *shape)."""
        out = torch.empty(len(self._index), *shape, device=self._generator.device)
        for row, seed in zip(out, self._seeds(), strict=True):
            row.uniform_(generator=self._generator.manual_seed(seed))
        return out

    def _seeds(self) -> list[int]:
        # SplitMix64's finaliser: neighbouring keys give unrelated seeds
        key = np.array(self._index, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        key += np.uint64((self._seed * 0xD1342543DE82EF95 + self._draw * 0xF1357AEA2E62A9C5) % 2**64)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        self._draw += 1
        key ^= key >> np.uint64(31)
        seeds: list[int] = (key >> np.uint64(1)).tolist()
        return seeds
