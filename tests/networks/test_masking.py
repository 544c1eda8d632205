"""Which patches are hidden, and what the decoder makes of the others."""

import re
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from networks import FreshNoise, KeyedNoise, MaskedDecoder, at_places, kept_count, random_mask


@given(patches=st.integers(2, 50), ratio=st.floats(0.01, 0.99))
def test_the_count_is_the_share_rounded_down_or_an_error(patches: int, ratio: float) -> None:
    share = patches * (1 - ratio)
    if share >= 1 and int(share + 1e-9) < patches:
        count = kept_count(patches, ratio)
        assert 1 <= count < patches
        assert share - 1 < count <= share + 1e-6
    else:
        with pytest.raises(ValueError, match=r"^mask_ratio is"):
            kept_count(patches, ratio)


@pytest.mark.parametrize(
    ("patches", "ratio", "count"), [(49, 0.75, 12), (16, 0.75, 4), (4, 0.75, 1), (10, 0.9, 1), (100, 0.29, 71)]
)
def test_counts_by_hand(patches: int, ratio: float, count: int) -> None:
    assert kept_count(patches, ratio) == count


@pytest.mark.parametrize("ratio", [-0.1, 0.0, 0.8, 1.0, 1.5])
def test_a_share_that_hides_nothing_or_all_is_one_clear_line(ratio: float) -> None:
    line = f"mask_ratio is {ratio}: choose a share above 0 that leaves at least one of 4 patches"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        kept_count(4, ratio)


def test_every_patch_is_read_or_hidden_and_every_set_is_as_likely() -> None:
    mask = random_mask(KeyedNoise(torch.arange(6000)), 5, 2)
    assert (mask.kept.shape, mask.hidden.shape) == ((6000, 2), (6000, 3))
    assert torch.equal(torch.cat(mask, 1).sort(1).values, torch.arange(5).expand(6000, -1))
    drawn = [tuple(row) for row in mask.kept.sort(1).values.tolist()]
    shares = [drawn.count(pair) / 6000 for pair in combinations(range(5), 2)]
    assert shares == pytest.approx([0.1] * 10, abs=0.015)


def test_the_mask_is_the_noise_and_nothing_else() -> None:
    index = torch.tensor([3, 1, 4])
    together = random_mask(KeyedNoise(index), 9, 3)
    alone = random_mask(KeyedNoise(index[1:2]), 9, 3)
    assert torch.equal(together.kept[1:2], alone.kept)
    fresh = [random_mask(FreshNoise(torch.arange(50)), 9, 3).kept for _ in range(2)]
    assert not torch.equal(*fresh)


def test_rows_are_taken_where_they_stand() -> None:
    x, place = torch.rand(3, 5, 2), torch.tensor([[4, 0], [1, 1], [2, 3]])
    assert torch.equal(at_places(x, place), torch.stack([x[i, place[i]] for i in range(3)]))


def decoder() -> MaskedDecoder:
    torch.manual_seed(0)
    return MaskedDecoder(6, (2, 3), 7, dim=8, heads=2, layers=2).eval()


@pytest.mark.parametrize("prefix", [0, 1, 2])
@pytest.mark.parametrize("kept", [0, 1, 4, 6])
def test_all_places_get_values_whatever_is_read(prefix: int, kept: int) -> None:
    place = torch.stack([torch.randperm(6)[:kept] for _ in range(3)])
    assert decoder()(torch.rand(3, prefix + kept, 6), place).shape == (3, 6, 7)


def test_the_order_in_which_patches_are_read_is_no_matter() -> None:
    token, place = torch.rand(2, 1 + 3, 6), torch.tensor([[5, 0, 2], [1, 4, 3]])
    order = torch.tensor([2, 0, 1])
    shuffled = torch.cat((token[:, :1], token[:, 1:][:, order]), 1)
    torch.testing.assert_close(decoder()(token, place), decoder()(shuffled, place[:, order]))


def test_places_are_told_apart() -> None:
    token = torch.rand(1, 3, 6)
    here, there = (decoder()(token, torch.tensor([place])) for place in ([0, 1, 2], [0, 1, 5]))
    assert not torch.allclose(here, there, atol=1e-3)
    hidden = decoder()(token, torch.tensor([[0, 1, 2]]))[0, 3:]
    assert not torch.allclose(hidden[0], hidden[1], atol=1e-3)


def test_hidden_places_see_what_was_read_and_the_class_token() -> None:
    place = torch.tensor([[0, 1, 2]])
    token = torch.rand(1, 1 + 3, 6, requires_grad=True)
    decoder()(token, place)[0, 5].sum().backward()
    assert token.grad is not None
    assert (token.grad.abs().sum(2) > 0).all()


def test_a_size_that_is_impossible_is_one_clear_line() -> None:
    for sizes, start in (({"dim": 0}, "dim is 0:"), ({"dim": 6}, "dim is 6:"), ({"layers": 0}, "layers is 0:")):
        with pytest.raises(ValueError, match=f"^{start}"):
            MaskedDecoder(6, (2, 3), 7, **{"heads": 2, **sizes})
