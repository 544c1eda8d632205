import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.split import stratified_split

LABELS = st.lists(st.integers(0, 5), min_size=10, max_size=300).map(torch.tensor)
FRACTIONS = st.floats(0.1, 0.9)


@given(LABELS, FRACTIONS, st.integers(0, 100))
def test_split_is_disjoint_complete_and_stratified(label: torch.Tensor, fraction: float, seed: int) -> None:
    rest, held_out = stratified_split(label, fraction, seed)
    assert torch.cat([rest, held_out]).sort().values.equal(torch.arange(len(label)))
    assert len(held_out) == round(fraction * len(label))
    for value in label.unique():
        share = fraction * int((label == value).sum())
        assert abs(int((label[held_out] == value).sum()) - share) < 1 + 1e-4


def test_split_is_a_function_of_its_keys() -> None:
    label = torch.arange(1000) % 10
    first, second, other = (stratified_split(label, 0.3, *keys)[1] for keys in [(7,), (7,), (8,)])
    assert first.equal(second)
    assert not first.equal(other)
    assert not first.equal(stratified_split(label, 0.3, 7, 1)[1])


def test_split_takes_examples_from_all_over_a_class() -> None:
    held_out = stratified_split(torch.zeros(1000, dtype=torch.int64), 0.5, 0)[1]
    assert 350 < held_out.float().mean() < 650


def test_nothing_held_out() -> None:
    rest, held_out = stratified_split(torch.tensor([0, 1, 1]), 0.0, 0)
    assert rest.tolist() == [0, 1, 2]
    assert held_out.numel() == 0


@pytest.mark.parametrize("fraction", [0.1, 0.95])
def test_empty_part_is_an_error(fraction: float) -> None:
    with pytest.raises(ValueError, match=f"fraction={fraction} of 4 examples"):
        stratified_split(torch.tensor([0, 0, 1, 1]), fraction, 0)
