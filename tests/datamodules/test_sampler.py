from collections import Counter
from itertools import chain, zip_longest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.sampler import EvaluationSampler, ResumableSampler

SIZES = st.integers(1, 200)
WORLDS = st.integers(1, 5)
SEEDS = st.integers(0, 2**31)


def every_rank(size: int, world: int, **arguments: int) -> list[list[int]]:
    return [list(ResumableSampler(range(size), num_replicas=world, rank=rank, **arguments)) for rank in range(world)]


@given(SIZES, WORLDS, SEEDS, st.integers(0, 50))
def test_ranks_share_an_epoch_evenly_and_miss_nothing(size: int, world: int, seed: int, epoch: int) -> None:
    parts = every_rank(size, world, seed=seed, epoch=epoch)
    seen = Counter(chain.from_iterable(parts))
    assert set(seen) == set(range(size))
    assert {len(part) for part in parts} == {-(-size // world)}
    assert sum(seen.values()) - size < world


@given(st.integers(4, 100), SEEDS, st.integers(0, 50))
def test_global_batches_do_not_depend_on_the_number_of_processes(quarter: int, seed: int, epoch: int) -> None:
    size = 4 * quarter
    alone = every_rank(size, 1, seed=seed, epoch=epoch)[0]
    parts = every_rank(size, 4, seed=seed, epoch=epoch)
    assert [index for step in zip(*parts, strict=True) for index in step] == alone


@given(SIZES, SEEDS, st.integers(0, 50))
def test_order_depends_on_seed_and_epoch_only(size: int, seed: int, epoch: int) -> None:
    torch.manual_seed(1)
    sampler = ResumableSampler(range(size), seed=seed)
    list(sampler)
    sampler.set_epoch(epoch)
    torch.manual_seed(2)
    assert list(sampler) == list(ResumableSampler(range(size), seed=seed, epoch=epoch))


def test_order_changes_with_seed_and_epoch_and_the_two_do_not_add_up() -> None:
    orders = {
        (seed, epoch): tuple(every_rank(100, 1, seed=seed, epoch=epoch)[0]) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4


@given(SIZES, WORLDS, SEEDS, st.data())
def test_offset_skips_that_many_examples_once(size: int, world: int, seed: int, data: st.DataObject) -> None:
    whole = every_rank(size, world, seed=seed, epoch=3)
    start = data.draw(st.integers(0, len(whole[0])))
    for rank in range(world):
        sampler = ResumableSampler(range(size), num_replicas=world, rank=rank, seed=seed, epoch=3, start=start)
        assert len(sampler) == len(whole[rank])
        sampler.set_epoch(3)
        assert list(sampler) == whole[rank][start:]
        assert list(sampler) == whole[rank]


def test_offset_is_forgotten_in_another_epoch() -> None:
    sampler = ResumableSampler(range(10), epoch=3, start=4)
    sampler.set_epoch(4)
    assert len(list(sampler)) == 10


@pytest.mark.parametrize("start", [-1, 6])
def test_offset_outside_the_epoch_is_an_error(start: int) -> None:
    with pytest.raises(ValueError, match=f"start={start} .* 5 examples"):
        ResumableSampler(range(10), num_replicas=2, start=start)


@given(SIZES, WORLDS)
def test_evaluation_counts_each_example_once(size: int, world: int) -> None:
    samplers = [EvaluationSampler(range(size), num_replicas=world, rank=rank) for rank in range(world)]
    parts = [list(sampler) for sampler in samplers]
    assert sorted(chain.from_iterable(parts)) == list(range(size))
    assert [len(sampler) for sampler in samplers] == [len(part) for part in parts]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(part == sorted(part) for part in parts)


@given(SIZES, WORLDS)
def test_evaluation_keeps_to_an_order_that_is_given(size: int, world: int) -> None:
    order = [3 * place for place in reversed(range(size))]
    parts = [list(EvaluationSampler(range(size), order, num_replicas=world, rank=rank)) for rank in range(world)]
    dealt = chain.from_iterable(zip_longest(*parts))
    assert [example for example in dealt if example is not None] == order
