"""Which example comes when: the two samplers that make runs resumable and evaluation exact.

Both are `DistributedSampler`s, also in a run of one process: Lightning leaves those alone, where it would
replace or wrap any other sampler in a distributed run.
"""

import math
from collections.abc import Iterator, Sized

import torch
from torch.utils.data import DistributedSampler

from datamodules.seeding import derive_seed


class ResumableSampler(DistributedSampler[int]):
    """Shuffles for training: the order is a function of (seed, epoch) alone, and an epoch can be entered midway.

    The order is drawn over the whole data set and dealt to the processes in turn, so batch k of all processes together
    holds the same examples whatever their number, provided that the global batch size is the same. As in
    `DistributedSampler`, the first examples of the order repeat at its end where the processes would otherwise get
    different numbers of examples.

    The offset belongs to the epoch given here: exactly one iteration, in that epoch, starts there. Lightning asks a
    loader with workers for an iterator (and so for the first indices) *before* it calls `set_epoch`, and one without
    workers after it; both see the offset once, and no later epoch sees it.

    Args:
        dataset: What is sampled from; only its length is used.
        num_replicas: Number of processes.
        rank: Which of them this is.
        seed: Seed of the order.
        epoch: The epoch to begin with, until Lightning calls `set_epoch`.
        start: Number of this process's examples of that epoch that have been used already.

    Raises:
        ValueError: If `start` is outside [0, number of this process's examples].
    """

    def __init__(
        self, dataset: Sized, *, num_replicas: int = 1, rank: int = 0, seed: int = 0, epoch: int = 0, start: int = 0
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=True, seed=seed)  # type: ignore[arg-type]
        if not 0 <= start <= self.num_samples:
            raise ValueError(f"start={start} lies outside an epoch of {self.num_samples} examples a process")
        self.epoch = epoch
        self._size = len(dataset)
        self._start = start

    def __iter__(self) -> Iterator[int]:
        start, self._start = self._start, 0
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch))
        order = torch.randperm(self._size, generator=generator)
        padded = order.repeat(math.ceil(self.total_size / max(1, self._size)))[: self.total_size]
        return iter(padded[self.rank :: self.num_replicas][start:].tolist())

    def __len__(self) -> int:
        """Number of examples in a whole epoch of this process, also in one that is entered midway."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Moves to an epoch; an offset into another one is forgotten.

        Args:
            epoch: Number of the epoch, from 0.
        """
        if epoch != self.epoch:
            self._start = 0
        self.epoch = epoch


class EvaluationSampler(DistributedSampler[int]):
    """Every example once, in order, dealt to the processes in turn: no shuffling and no padding.

    `DistributedSampler` pads with repeated examples, which then count twice in a metric.

    Args:
        dataset: What is sampled from; only its length is used.
        num_replicas: Number of processes.
        rank: Which of them this is.
    """

    def __init__(self, dataset: Sized, *, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self._indices = range(rank, len(dataset), num_replicas)
        self.num_samples = len(self._indices)
        self.total_size = len(dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        """Number of examples of this process; those of two processes differ by one at most."""
        return self.num_samples
