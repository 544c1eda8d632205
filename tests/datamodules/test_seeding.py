from collections.abc import Iterator
from itertools import islice

import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.seeding import derive_seed, keyed_uniform

KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(tuple)


@given(KEYS, KEYS)
def test_different_keys_give_different_seeds_in_range(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert 0 <= derive_seed(*first) < 2**64
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0, 1, 2) == 8901564848246840783


def test_low_bits_differ_too() -> None:  # torch's generator on the CPU keeps 32 of them
    assert len({derive_seed(0, 0, index) % 2**32 for index in range(1000)}) == 1000


def split_mix(state: int) -> Iterator[int]:
    """The published generator, in Python's integers."""
    mask = 2**64 - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def test_keyed_numbers_are_those_of_split_mix() -> None:
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # of seed 0
    assert list(islice(split_mix(0), 3)) == published
    index = [0, 7, 2**40]
    rows = []
    for position in index:
        # an example's state is the output for the sum of the key and its index, to which no step is added
        start = next(split_mix((derive_seed(3, 4) + position - 0x9E3779B97F4A7C15) % 2**64))
        rows.append([(number >> 11) / 2**53 for number in islice(split_mix(start), 5)])
    assert keyed_uniform(torch.tensor(index), 5, 3, 4).tolist() == rows


def test_keyed_numbers_are_uniform_and_unrelated() -> None:
    numbers = torch.stack([keyed_uniform(torch.arange(5000), 4, seed, 0) for seed in (0, 1)])
    flat = numbers.transpose(0, 1).flatten(1)  # (5000, 8)
    assert (flat >= 0).all()
    assert (flat < 1).all()
    share = torch.histc(flat.float(), 10, 0, 1) / flat.numel()
    assert (share - 0.1).abs().max() < 0.006
    assert (torch.corrcoef(flat.T) - torch.eye(8)).abs().max() < 0.06
    neighbours = torch.corrcoef(torch.stack([flat[:-1, 0], flat[1:, 0]]))[0, 1]
    assert neighbours.abs() < 0.05
    assert len(numbers.flatten().unique()) == numbers.numel()
