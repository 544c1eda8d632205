"""Batches of sequences of about one length, cut by their number and by their tokens."""

import torch
from torch import Tensor

from datamodules.sampler import MidwaySampler
from datamodules.seeding import derive_seed

_WITHIN, _BATCHES = range(2)  # streams of the order within the buckets and of the order of the batches
_STEP = 10  # a bucket reaches to lengths a tenth greater than the one before
_EIGHT = 8  # batches are cut to multiples of it, which 2, 4 and 8 processes share evenly


class BucketPlan:
    """Divides sequences into batches of about one length, equally many in every epoch.

    Lengths up to 10 have a bucket each, and every later bucket reaches to a length a tenth greater. All batches of a
    bucket have the same size, which follows from its greatest length. What is left over goes up to the next bucket, so
    that one batch of the epoch at most is smaller.

    A batch is one of all processes together, for the budget of all. Where the budget of tokens limits it, its size is
    a multiple of 8 (or a power of two below), so that 2, 4 and 8 processes cut the same batches as one with 2, 4 and 8
    times the budget, and each keeps its own.

    Args:
        length: int64 (N,), tokens of each sequence, padding of a pair's shorter side included.
        batch_size: Most sequences of a batch, in each process.
        batch_tokens: Most tokens of a batch, padding included, in each process; None for no such limit.
        world_size: Number of processes.
        drop_last: Leave out the smaller batch.

    Raises:
        ValueError: If a sequence alone exceeds `batch_tokens`.
    """

    def __init__(
        self,
        length: Tensor,
        *,
        batch_size: int,
        batch_tokens: int | None = None,
        world_size: int = 1,
        drop_last: bool = False,
    ) -> None:
        longest = int(length.max())
        if batch_tokens is not None and batch_tokens < longest:
            raise ValueError(
                f"batch_tokens={batch_tokens} has no room for the longest training pair: choose {longest} or more"
            )
        bounds = torch.tensor(_bounds(longest))
        self.world_size = world_size
        self._drop_last = drop_last
        self._bucket = torch.bucketize(length, bounds)
        self._count = self._bucket.bincount(minlength=len(bounds)).tolist()
        self._size = [_global_size(bound, batch_size, batch_tokens, world_size) for bound in bounds.tolist()]
        batches, left = 0, 0
        for count, size in zip(self._count, self._size, strict=True):
            full, left = divmod(left + count, size)
            batches += full
        self._batches = batches + (left > 0 and not drop_last)

    def __len__(self) -> int:
        """Number of batches in every epoch."""
        return self._batches

    def batches(self, *keys: int) -> list[Tensor]:
        """Draws the batches of an epoch, of all processes together.

        Args:
            keys: Integers that name the draw, a seed first.

        Returns:
            Positions of the sequences of each batch, int64; together every position once, without the smaller batch if
            that is dropped.
        """
        within, order = (torch.Generator().manual_seed(derive_seed(*keys, stream)) for stream in (_WITHIN, _BATCHES))
        shuffled = torch.randperm(len(self._bucket), generator=within)
        buckets = torch.split(shuffled[self._bucket[shuffled].argsort(stable=True)], self._count)
        batches: list[Tensor] = []
        left = shuffled[:0]
        for members, size in zip(buckets, self._size, strict=True):
            waiting = torch.cat([left, members])
            full = len(waiting) - len(waiting) % size
            batches += torch.split(waiting[:full], size) if full else ()
            left = waiting[full:]
        if len(left) and not self._drop_last:
            batches.append(left)
        return [batches[place] for place in torch.randperm(len(batches), generator=order).tolist()]


class BucketSampler(MidwaySampler[list[int]]):
    """Deals the batches of a plan to the processes, each batch in turn.

    The order is a function of (seed, epoch) alone, and an epoch can be entered midway. All processes get equally many
    batches, and none an empty one: a batch of fewer sequences than processes begins again.

    Args:
        plan: The batches of all processes.
        rank: Which of the plan's processes this is.
        seed: Seed of the order.
        epoch: The epoch to begin with, until Lightning calls `set_epoch`.
        start: Number of batches of that epoch that have been used already.

    Raises:
        ValueError: If `start` is outside [0, number of batches].
    """

    unit = "batches"

    def __init__(self, plan: BucketPlan, *, rank: int = 0, seed: int = 0, epoch: int = 0, start: int = 0) -> None:
        world_size = plan.world_size
        whole = range(len(plan) * world_size)
        super().__init__(whole, num_replicas=world_size, rank=rank, seed=seed, epoch=epoch, start=start)
        self._plan = plan

    def _items(self) -> list[list[int]]:
        batches = self._plan.batches(self.seed, self.epoch)
        enough = (batch if len(batch) >= self.num_replicas else self._repeated(batch) for batch in batches)
        return [batch[self.rank :: self.num_replicas].tolist() for batch in enough]

    def _repeated(self, batch: Tensor) -> Tensor:
        return batch.repeat(self.num_replicas)[: self.num_replicas]


def _bounds(longest: int) -> list[int]:
    """Greatest length of each bucket; the last is that of the longest sequence."""
    bounds = [1]
    while bounds[-1] < longest:
        bounds.append(min(longest, bounds[-1] + max(1, bounds[-1] // _STEP)))
    return bounds


def _global_size(bound: int, batch_size: int, batch_tokens: int | None, world_size: int) -> int:
    """Sequences of a batch of all processes, at least one for each, in a bucket up to this length."""
    if batch_tokens is None:
        return world_size * batch_size
    room = world_size * batch_tokens // bound
    even = room - room % _EIGHT if room >= _EIGHT else 1 << (room.bit_length() - 1)
    each = batch_tokens // bound
    if even < world_size or -(-even // world_size) > each:
        even = world_size * each
    return min(world_size * batch_size, even)
