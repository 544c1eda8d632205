from typing import Any

import pytest
import torch
from torch import Tensor

from networks import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, FreshNoise, KeyedNoise, MaskedTokens, TokenMasking

VOCAB = 50
ROWS = 400


def text(length: int = 40) -> Tensor:
    return torch.randint(len(SPECIAL_TOKENS), VOCAB, (ROWS, length), generator=torch.Generator().manual_seed(0))


def masked(token: Tensor, seed: int = 0, **shares: float) -> MaskedTokens:
    return TokenMasking(VOCAB, **shares)(token, KeyedNoise(torch.arange(len(token)), seed))


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_the_share_of_each_text_is_chosen(rate: float) -> None:
    found = masked(text(), rate=rate)
    assert found.place.shape == (ROWS, round(40 * rate))
    assert (found.target != PAD).all()
    assert all(len(set(row)) == len(row) for row in found.place.tolist())


def test_targets_are_what_stood_there_and_all_else_stays() -> None:
    token = text()
    found = masked(token)
    assert torch.equal(found.target, token.gather(1, found.place))
    other = torch.ones_like(token, dtype=torch.bool).scatter(1, found.place, False)
    assert torch.equal(found.token[other], token[other])


def test_eight_in_ten_are_masked_one_is_replaced_and_one_stays() -> None:
    token = text()
    found = masked(token)
    shown = found.token.gather(1, found.place)
    hidden, same = shown == VOCAB, shown == found.target
    assert hidden.float().mean().item() == pytest.approx(0.8, abs=0.03)
    # a token that is drawn is the old one now and then
    assert same.float().mean().item() == pytest.approx(0.1 + 0.1 / (VOCAB - 4), abs=0.02)
    drawn = shown[~hidden & ~same]
    assert drawn.min() >= len(SPECIAL_TOKENS)
    assert drawn.max() < VOCAB
    assert len(drawn.unique()) > 40


@pytest.mark.parametrize(("shares", "kind"), [((1.0, 0.0), "masked"), ((0.0, 0.0), "same"), ((0.0, 1.0), "drawn")])
def test_the_shares_are_those_that_are_given(shares: tuple[float, float], kind: str) -> None:
    found = masked(text(), mask_share=shares[0], random_share=shares[1])
    shown = found.token.gather(1, found.place)
    assert bool((shown == VOCAB).all()) == (kind == "masked")
    assert bool((shown == found.target).all()) == (kind == "same")


def test_places_are_chosen_evenly() -> None:
    counts = masked(text()).place.flatten().bincount(minlength=40).double()
    expected = ROWS * 6 / 40
    assert ((counts - expected) ** 2 / expected).sum() < 73  # the 0.999 quantile of chi-squared with 39 degrees


def test_special_tokens_are_never_chosen() -> None:
    token = text()
    token[:, ::2] = torch.tensor([PAD, BOS, EOS, UNK]).repeat(5)
    found = masked(token, rate=0.6)
    chosen = found.target != PAD
    assert torch.equal(chosen.sum(1), torch.full((ROWS,), 12))  # 0.6 of the 20 that are no special ones
    assert (found.target[chosen] >= len(SPECIAL_TOKENS)).all()
    assert torch.equal(found.token[:, ::2], token[:, ::2])


def test_a_text_of_special_tokens_alone_asks_nothing() -> None:
    token = text()
    token[3] = PAD
    found = masked(token)
    assert (found.target[3] == PAD).all()
    assert torch.equal(found.token[3], token[3])


def test_short_texts_are_asked_for_one_token() -> None:
    found = masked(text(2))
    assert found.target.shape == (ROWS, 1)
    assert (found.target != PAD).all()


def test_padding_changes_nothing() -> None:
    token = text()
    wider = torch.cat((token, torch.full((ROWS, 25), PAD)), 1)
    found, other = masked(token), masked(wider)
    assert torch.equal(other.token[:, :40], found.token)
    assert torch.equal(other.token[:, 40:], wider[:, 40:])
    asked = other.target != PAD
    assert torch.equal(asked.sum(1), (found.target != PAD).sum(1))


def test_all_randomness_is_the_noise_it_is_given() -> None:
    token = text()
    one, same, other = masked(token), masked(token), masked(token, seed=1)
    assert torch.equal(one.token, same.token)
    assert not torch.equal(one.token, other.token)
    torch.manual_seed(0)
    fresh = [TokenMasking(VOCAB)(token, FreshNoise(torch.arange(ROWS))).token for _ in range(2)]
    assert not torch.equal(*fresh)


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"vocab_size": 4}, "vocab_size is 4: choose at least 5"),
        ({"rate": 0.0}, "rate is 0.0:"),
        ({"rate": 1.0}, "rate is 1.0:"),
        ({"mask_share": 1.1}, "mask_share is 1.1:"),
        ({"random_share": -0.1}, "random_share is -0.1:"),
        ({"mask_share": 0.8, "random_share": 0.3}, "random_share is 0.3: with mask_share, 0.8, it exceeds 1"),
    ],
)
def test_an_impossible_argument_is_one_line(arguments: dict[str, Any], start: str) -> None:
    with pytest.raises(ValueError, match=start):
        TokenMasking(**{"vocab_size": VOCAB, **arguments})
