import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from networks import FreshNoise, KeyedNoise, SeededNoise

quick = settings(max_examples=25, deadline=None)
kinds = pytest.mark.parametrize("kind", ["normal", "uniform"])


def draws(noise: Any, kind: str, *shape: int) -> Tensor:
    numbers: Tensor = getattr(noise, kind)(*shape)
    return numbers


def largest_correlation(a: Tensor, b: Tensor) -> float:
    """Largest correlation of any column of one with any column of the other, over the rows."""
    both = np.corrcoef(a.numpy(), b.numpy(), rowvar=False)
    return float(np.abs(both[: a.shape[1], a.shape[1] :]).max())


@kinds
@quick
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12, unique=True), st.integers(1, 21), st.randoms())
def test_an_example_has_its_numbers_whatever_the_batch(kind: str, index: list[int], width: int, random: Any) -> None:
    whole = draws(KeyedNoise(torch.tensor(index)), kind, 2, width)
    assert whole.shape == (len(index), 2, width)
    order = random.sample(range(len(index)), len(index))
    shuffled = draws(KeyedNoise(torch.tensor(index)[order]), kind, 2, width)
    alone = draws(KeyedNoise(torch.tensor(index[:1])), kind, 2, width)
    assert torch.equal(whole[order], shuffled)
    assert torch.equal(whole[:1], alone)


@kinds
def test_a_later_draw_does_not_depend_on_the_shape_of_an_earlier_one(kind: str) -> None:
    one, other = (KeyedNoise(torch.arange(5)) for _ in range(2))
    one.normal(3)
    other.uniform(40, 2)
    assert torch.equal(draws(one, kind, 7), draws(other, kind, 7))


@kinds
def test_draws_seeds_and_neighbours_are_unrelated(kind: str) -> None:
    index = torch.arange(5000)
    noise = KeyedNoise(index, seed=3)
    first, second = draws(noise, kind, 24), draws(noise, kind, 24)
    others = {
        "next draw": second,
        "next seed": draws(KeyedNoise(index, seed=4), kind, 24),
        "next example": draws(KeyedNoise(index + 1, seed=3), kind, 24),
        "example far away": draws(KeyedNoise(index + 2**20, seed=3), kind, 24),
    }
    for name, other in others.items():
        assert not torch.equal(first, other), name
        # 576 correlations of unrelated columns, each with a standard deviation of 0.014
        assert largest_correlation(first, other) < 0.08, name


def test_no_two_examples_and_draws_share_numbers() -> None:
    noise = KeyedNoise(torch.arange(2000))
    first = torch.cat([noise.uniform(2) for _ in range(5)])
    assert len(first.unique(dim=0)) == 10_000


def seeded(index: Tensor) -> SeededNoise:
    return SeededNoise(len(index), seed=7)


@pytest.mark.parametrize("kind", [KeyedNoise, FreshNoise, seeded])
def test_distributions(kind: Any) -> None:
    torch.manual_seed(0)
    index = torch.arange(4000)
    normal, uniform = kind(index).normal(20), kind(index).uniform(20)
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)
    assert (normal.abs() < 1.96).float().mean().item() == pytest.approx(0.95, abs=0.005)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert uniform.var().item() == pytest.approx(1 / 12, abs=0.002)
    # also each first number over the examples, where reseeding could leave a pattern
    assert uniform[:, 0].mean().item() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 4000))
    assert normal[:, 0].std().item() == pytest.approx(1, abs=0.05)


def test_keyed_noise_neither_uses_nor_moves_the_global_generator() -> None:
    torch.manual_seed(0)
    one = KeyedNoise(torch.arange(4)).normal(3)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(KeyedNoise(torch.arange(4)).normal(3), one)
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


@kinds
def test_fresh_noise_is_that_of_the_global_generator(kind: str) -> None:
    noise = FreshNoise(torch.tensor([7, 7, 7]))
    torch.manual_seed(0)
    first, second = draws(noise, kind, 2, 5), draws(noise, kind, 2, 5)
    torch.manual_seed(0)
    assert torch.equal(draws(FreshNoise(torch.tensor([1, 2, 3])), kind, 2, 5), first)
    assert first.shape == (3, 2, 5)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])  # the same index gives no reason to repeat


@kinds
def test_seeded_noise_follows_from_its_seed_and_leaves_the_global_generator_alone(kind: str) -> None:
    state = torch.get_rng_state()
    one, same, other = (SeededNoise(3, seed) for seed in (2**33 + 1, 2**33 + 1, 5))
    first, second = draws(one, kind, 2, 5), draws(one, kind, 2, 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (3, 2, 5)
    assert torch.equal(draws(same, kind, 2, 5), first)
    assert not torch.equal(first, second)
    assert not torch.equal(draws(other, kind, 2, 5), first)
