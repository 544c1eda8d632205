"""Mixed images: what they are made of, and what they are told to be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from networks import CutMix, Mixed, Mixing, MixUp
from objectives import cross_entropy, mixed_cross_entropy

KINDS = (MixUp, CutMix)


def images(number: int, height: int = 8, width: int = 6) -> Tensor:
    """Each of one grey, which tells it from all others."""
    grey = (torch.arange(number) + 1.0) / number
    return grey.view(-1, 1, 1, 1).expand(-1, 3, height, width)


def mixed(mixing: Mixing, image: Tensor, seed: int = 0) -> Mixed:
    torch.manual_seed(seed)
    return mixing(image)


@pytest.mark.parametrize("kind", KINDS)
@given(number=st.integers(1, 9), height=st.integers(1, 9), width=st.integers(1, 9), alpha=st.floats(0.1, 5.0))
def test_the_share_is_what_an_image_has_of_itself(
    kind: type[Mixing], number: int, height: int, width: int, alpha: float
) -> None:
    image = images(number, height, width)
    made, partner, share = mixed(kind(alpha), image)
    assert partner.sort().values.equal(torch.arange(number))
    assert ((share >= 0) & (share <= 1)).all()
    means, own = made.mean((1, 2, 3)), image[:, 0, 0, 0]
    torch.testing.assert_close(means, share * own + (1 - share) * own[partner])


def test_mixup_is_the_same_mean_at_every_pixel() -> None:
    image = torch.rand(5, 3, 4, 4, dtype=torch.float64)
    made, partner, share = mixed(MixUp(1.0), image)
    assert made.dtype == torch.float64
    for row in range(5):
        expected = share[row].double() * image[row] + (1 - share[row].double()) * image[partner[row]]
        torch.testing.assert_close(made[row], expected)


def test_cutmix_takes_one_rectangle_of_the_partner_and_leaves_the_rest() -> None:
    image = torch.rand(200, 3, 12, 20)
    made, partner, share = mixed(CutMix(), image)
    heights, widths = [], []
    for row in range(len(image)):
        changed = (made[row] != image[row]).all(0)
        taken = changed.nonzero()
        if partner[row] == row or not len(taken):
            continue
        (top, left), (bottom, right) = taken.min(0).values, taken.max(0).values + 1
        assert changed[top:bottom, left:right].all()
        assert made[row, :, top:bottom, left:right].equal(image[partner[row], :, top:bottom, left:right])
        assert share[row].item() == pytest.approx(1 - len(taken) / 240)
        if top > 0 and bottom < 12 and left > 0 and right < 20:  # what was not cut off
            heights.append(int(bottom - top) / 12)
            widths.append(int(right - left) / 20)
    assert len(heights) > 30
    assert torch.tensor(heights).sub(torch.tensor(widths)).abs().max() < 2 / 12  # whole pixels, an even number of them


@pytest.mark.parametrize(("alpha", "deviation"), [(0.2, 0.5 / 1.4**0.5), (1.0, 1 / 12**0.5)])
def test_shares_have_the_spread_of_the_beta_distribution(alpha: float, deviation: float) -> None:
    share = mixed(MixUp(alpha), images(20000, 1, 1)).share
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.std().item() == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_generator_decides(kind: type[Mixing]) -> None:
    image = torch.rand(16, 1, 8, 8)
    first, again, other = (mixed(kind(1.0), image, seed) for seed in (0, 0, 1))
    assert all(one.equal(two) for one, two in zip(first, again, strict=True))
    assert not first.image.equal(other.image)
    assert len(first.share.unique()) > 8


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_the_mean_target(smoothing: float) -> None:
    logits, label = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    partner, share = torch.tensor([5, 4, 3, 2, 1, 0]), torch.rand(6)
    hot = torch.eye(4)[label]
    target = share.unsqueeze(1) * hot + (1 - share.unsqueeze(1)) * hot[partner]
    target = (1 - smoothing) * target + smoothing / 4
    loss = mixed_cross_entropy(logits, label, partner, share, smoothing)
    torch.testing.assert_close(loss, -(target * logits.log_softmax(1)).sum(1))
    alone = mixed_cross_entropy(logits, label, partner, torch.ones(6), smoothing)
    torch.testing.assert_close(alone, cross_entropy(logits, label, smoothing))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_an_alpha_that_is_no_positive_number_is_one_clear_line(kind: type[Mixing], alpha: float) -> None:
    with pytest.raises(ValueError, match=rf"^alpha is {alpha}: give a positive number, or leave mixing out$"):
        kind(alpha)
