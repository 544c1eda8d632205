from hypothesis import given
from hypothesis import strategies as st

from datamodules.seeding import derive_seed

KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(tuple)


@given(KEYS, KEYS)
def test_different_keys_give_different_seeds_in_range(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert 0 <= derive_seed(*first) < 2**64
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0, 1, 2) == 8901564848246840783


def test_low_bits_differ_too() -> None:  # torch's generator on the CPU keeps 32 of them
    assert len({derive_seed(0, 0, index) % 2**32 for index in range(1000)}) == 1000
