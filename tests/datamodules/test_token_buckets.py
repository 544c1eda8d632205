from collections import Counter
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from datamodules.token_buckets import BucketPlan, BucketSampler

LENGTHS = st.lists(st.integers(2, 60), min_size=1, max_size=300).map(torch.tensor)
WORLDS = st.integers(1, 9)
SIZES = st.integers(1, 40)
TOKENS = st.none() | st.integers(60, 900)


def samplers(
    length: Tensor, world: int, seed: int = 0, epoch: int = 0, **limits: int | bool | None
) -> list[BucketSampler]:
    plan = BucketPlan(length, world_size=world, **limits)  # type: ignore[arg-type]
    return [BucketSampler(plan, rank=rank, seed=seed, epoch=epoch) for rank in range(world)]


@given(LENGTHS, WORLDS, SIZES, TOKENS, st.integers(0, 2**31), st.integers(0, 50))
def test_all_processes_get_equally_many_batches_and_every_sequence_comes(
    length: Tensor, world: int, size: int, tokens: int | None, seed: int, epoch: int
) -> None:
    dealt = samplers(length, world, seed, epoch, batch_size=size, batch_tokens=tokens)
    batches = [list(sampler) for sampler in dealt]
    assert {len(part) for part in batches} == {len(sampler) for sampler in dealt} == {len(dealt[0])}
    assert all(batch for part in batches for batch in part)
    seen = Counter(chain.from_iterable(chain.from_iterable(batches)))
    assert set(seen) == set(range(len(length)))
    repeated = [
        step for step in zip(*batches, strict=True) if len(set(chain.from_iterable(step))) < sum(map(len, step))
    ]
    assert len(repeated) <= 1  # a batch of fewer sequences than processes
    assert sum(seen.values()) - len(length) < world


@given(LENGTHS, WORLDS, SIZES, TOKENS)
def test_no_process_exceeds_its_budget(length: Tensor, world: int, size: int, tokens: int | None) -> None:
    for sampler in samplers(length, world, batch_size=size, batch_tokens=tokens):
        for batch in sampler:
            assert len(batch) <= size
            if tokens is not None:
                assert len(batch) * int(length[batch].max()) <= tokens


@given(LENGTHS, st.sampled_from([2, 4, 8]), SIZES, TOKENS, st.integers(0, 9))
def test_processes_share_the_batches_of_one_with_their_budget(
    length: Tensor, world: int, size: int, tokens: int | None, epoch: int
) -> None:
    each = [list(sampler) for sampler in samplers(length, world, 3, epoch, batch_size=size, batch_tokens=tokens)]
    whole = tokens and world * tokens
    (alone,) = samplers(length, 1, 3, epoch, batch_size=world * size, batch_tokens=whole)
    together = [Counter(chain.from_iterable(step)).keys() for step in zip(*each, strict=True)]
    assert together == [set(batch) for batch in alone]


@given(LENGTHS, WORLDS, SIZES, st.booleans())
def test_number_of_batches_is_that_of_every_epoch(length: Tensor, world: int, size: int, drop_last: bool) -> None:
    (first, *_) = samplers(length, world, batch_size=size, drop_last=drop_last)
    for epoch in range(4):
        first.set_epoch(epoch)
        assert len(list(first)) == len(first)
    if drop_last:
        assert {len(batch) for batch in first} <= {size}


def test_order_belongs_to_seed_and_epoch() -> None:
    length = torch.randint(2, 40, (500,), generator=torch.Generator().manual_seed(0))
    orders = [
        [tuple(batch) for sampler in samplers(length, 1, seed, epoch, batch_size=16) for batch in sampler]
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3
    assert not {frozenset(batch) for batch in orders[0]} & {frozenset(batch) for batch in orders[1]}
    longest = [int(length[list(batch)].max()) for batch in orders[0]]
    assert longest != sorted(longest)


@given(st.integers(0, 2**31))
def test_little_of_a_batch_is_padding(seed: int) -> None:
    length = (torch.randn(5000, generator=torch.Generator().manual_seed(seed)) * 6 + 15).clamp(3, 60).long()
    (sampler,) = samplers(length, 1, seed, batch_size=1000, batch_tokens=2048)
    batches = list(sampler)
    padded = sum(len(batch) * int(length[batch].max()) for batch in batches)
    assert int(length.sum()) / padded > 0.95
    assert padded / len(batches) > 0.9 * 2048


@given(LENGTHS, SIZES, st.data())
def test_an_epoch_is_entered_midway_once(length: Tensor, size: int, data: st.DataObject) -> None:
    plan = BucketPlan(length, batch_size=size)
    whole = list(BucketSampler(plan, epoch=2))
    start = data.draw(st.integers(0, len(plan)))
    sampler = BucketSampler(plan, epoch=2, start=start)
    assert len(sampler) == len(plan)
    assert list(sampler) == whole[start:]
    assert list(sampler) == whole
    late = BucketSampler(plan, epoch=2, start=start)
    late.set_epoch(3)
    assert len(list(late)) == len(plan)


def test_impossible_places_and_budgets_are_named() -> None:
    length = torch.tensor([3, 50, 7])
    with pytest.raises(
        ValueError, match=r"^batch_tokens=49 has no room for the longest training pair: choose 50 or more"
    ):
        BucketPlan(length, batch_size=4, batch_tokens=49)
    with pytest.raises(ValueError, match=r"^start=4 lies outside an epoch of 3 batches a process"):
        BucketSampler(BucketPlan(length, batch_size=1), start=4)
