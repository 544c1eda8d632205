"""Which example comes when: the two samplers that make runs resumable and evaluation exact.

Both are `DistributedSampler`s, also in a run of one process: Lightning leaves those alone, where it would
replace or wrap any other sampler in a distributed run.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence, Sized
from typing import ClassVar, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from datamodules.seeding import derive_seed

_SOURCE, _TARGET = range(2)  # streams of the two domains of a pair, so that their orders are independent


ItemT = TypeVar("ItemT")


class MidwaySampler(DistributedSampler[ItemT]):
    """Goes through an epoch's items of this process, and can enter an epoch midway.

    The offset belongs to the epoch given here: exactly one iteration, in that epoch, starts there. Lightning asks a
    loader with workers for an iterator (and so for the first indices) *before* it calls `set_epoch`, and one without
    workers after it; both see the offset once, and no later epoch sees it.

    Args:
        dataset: What is sampled from; only its length is used.
        num_replicas: Number of processes.
        rank: Which of them this is.
        seed: Seed of the order.
        epoch: The epoch to begin with, until Lightning calls `set_epoch`.
        start: Number of this process's items of that epoch that have been used already.

    Raises:
        ValueError: If `start` is outside [0, number of this process's items].
    """

    unit: ClassVar[str] = "examples"
    """What the items are."""

    def __init__(
        self, dataset: Sized, *, num_replicas: int = 1, rank: int = 0, seed: int = 0, epoch: int = 0, start: int = 0
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=True, seed=seed)  # type: ignore[arg-type]
        if not 0 <= start <= self.num_samples:
            raise ValueError(f"start={start} lies outside an epoch of {self.num_samples} {self.unit} a process")
        self.epoch = epoch
        self._start = start

    @abstractmethod
    def _items(self) -> list[ItemT]:
        """This process's items of the whole epoch."""

    def __iter__(self) -> Iterator[ItemT]:
        # only when the first item is asked for: a loader with workers makes two iterators, and reads one of them
        start, self._start = self._start, 0
        yield from self._items()[start:]

    def __len__(self) -> int:
        """Number of items in a whole epoch of this process, also in one that is entered midway."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Moves to an epoch; an offset into another one is forgotten.

        Args:
            epoch: Number of the epoch, from 0.
        """
        if epoch != self.epoch:
            self._start = 0
        self.epoch = epoch


class ResumableSampler(MidwaySampler[int]):
    """Shuffles for training: the order is a function of (seed, epoch) alone, and an epoch can be entered midway.

    The order is drawn over the whole data set and dealt to the processes in turn, so batch k of all processes together
    holds the same examples whatever their number, provided that the global batch size is the same. As in
    `DistributedSampler`, the first examples of the order repeat at its end where the processes would otherwise get
    different numbers of examples.

    Args:
        dataset: What is sampled from; only its length is used.
        **place: See `MidwaySampler`.

    Raises:
        ValueError: As `MidwaySampler`.
    """

    def __init__(self, dataset: Sized, **place: int) -> None:
        super().__init__(dataset, **place)
        self._size = len(dataset)

    def _items(self) -> list[int]:
        order = self._order()
        padded = order.repeat(math.ceil(self.total_size / max(1, self._size)))[: self.total_size]
        items: list[int] = padded[self.rank :: self.num_replicas].tolist()
        return items

    def _order(self) -> Tensor:
        """Positions of a whole epoch of all processes together, int64 (N,)."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch))
        return torch.randperm(self._size, generator=generator)


class PairSampler(ResumableSampler):
    """Draws pairs of an example of a source and an example of a target for training, each in an order of its own.

    An epoch has as many pairs as the longer domain has examples. Every example of that one comes once; the shorter
    domain begins again, reshuffled, whenever it is used up. What `ResumableSampler` says of epochs, offsets and
    processes holds for the pairs.

    Args:
        source_size: Examples of the source.
        target_size: Examples of the target.
        label: int64 (source_size,), class of each source example, to draw the classes of the source equally often (up
            to one example an epoch) however many examples they have; an epoch then need not hold all of the source.
            None leaves them as frequent as they are.
        **place: See `ResumableSampler`.
    """

    def __init__(self, source_size: int, target_size: int, *, label: Tensor | None = None, **place: int) -> None:
        super().__init__(range(max(source_size, target_size)), **place)
        self._sizes = source_size, target_size
        self._label = label

    def _order(self) -> Tensor:
        """Codes of the pairs of an epoch, int64 (N,): position in the source * target size + position in the target."""
        (source_size, target_size), streams = self._sizes, (_SOURCE, _TARGET)
        source, target = (
            torch.Generator().manual_seed(derive_seed(self.seed, self.epoch, stream)) for stream in streams
        )
        if self._label is None:
            chosen = _reshuffled(source_size, self._size, source)
        else:
            chosen = _balanced(self._label, self._size, source)
        return chosen * target_size + _reshuffled(target_size, self._size, target)


class EvaluationSampler(DistributedSampler[int]):
    """Every example once, in order, dealt to the processes in turn: no shuffling and no padding.

    `DistributedSampler` pads with repeated examples, which then count twice in a metric.

    Args:
        dataset: What is sampled from; only its length is used.
        order: What names its examples, in the order in which they come; None for their positions.
        num_replicas: Number of processes.
        rank: Which of them this is.
    """

    def __init__(
        self, dataset: Sized, order: Sequence[int] | None = None, *, num_replicas: int = 1, rank: int = 0
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self._indices = (range(len(dataset)) if order is None else order)[rank::num_replicas]
        self.num_samples = len(self._indices)
        self.total_size = len(dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        """Number of examples of this process; those of two processes differ by one at most."""
        return self.num_samples


def _reshuffled(size: int, count: int, generator: torch.Generator) -> Tensor:
    """The first `count` positions of one random permutation of `size` after another, int64 (count,)."""
    rounds = [torch.randperm(size, generator=generator) for _ in range(math.ceil(count / size))]
    return torch.cat(rounds)[:count]


def _balanced(label: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Positions of `count` examples, int64 (count,): classes take turns in random order, each reshuffled."""
    classes, label = torch.unique(label, return_inverse=True)
    turn = _reshuffled(len(classes), count, generator)
    order = torch.empty_like(turn)
    for place in range(len(classes)):
        members, turns = (label == place).nonzero().flatten(), (turn == place).nonzero().flatten()
        if len(turns):
            order[turns] = members[_reshuffled(len(members), len(turns), generator)]
    return order
