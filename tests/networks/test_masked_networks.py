"""Both networks that tell what is masked."""

from typing import Any

import pytest
import torch
from small_sequences import VOCAB, spread, tokens
from torch import Tensor

from networks import PAD, MaskedRecurrent, MaskedTransformer, blocks_of, mean_over_known, recorded_attention

KINDS = {
    "transformer": lambda **given: MaskedTransformer(VOCAB, 12, **{"dim": 16, "heads": 2, "layers": 2, **given}),
    "LSTM": lambda **given: MaskedRecurrent(VOCAB, 12, **{"dim": 8, "hidden": 10, **given}),
    "GRU": lambda **given: MaskedRecurrent(VOCAB, 12, **{"dim": 8, "hidden": 10, "cell": "gru", **given}),
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def padded(token: Tensor, columns: int) -> Tensor:
    return torch.cat((token, torch.full((len(token), columns), PAD)), 1)


@pytest.mark.parametrize("tied", [True, False])
def test_it_reads_one_token_more_than_it_tells(tied: bool, make: Any) -> None:
    network = make(tied=tied)
    token = tokens(3, 7)
    token[:, 2] = VOCAB
    assert network(token).shape == (3, 7, VOCAB)
    assert network.encode(token).shape == (3, 7, network.width)
    torch.testing.assert_close(network.decode(network.encode(token)), network(token))


def test_every_place_sees_both_sides(make: Any) -> None:
    network = spread(make())
    token = tokens(1, 7)
    before = network(token)
    for changed in (0, 6):
        other = token.clone()
        other[0, changed] = VOCAB
        moved = (network(other) - before).abs().amax(-1)[0]
        assert (moved > 1e-6).all()


def test_padding_changes_nothing(make: Any) -> None:
    network = spread(make())
    token = tokens(3, 7)
    torch.testing.assert_close(network(padded(token, 4))[:, :7], network(token))


def test_a_row_does_not_depend_on_the_others(make: Any) -> None:
    network = spread(make())
    token = padded(tokens(3, 7), 2)
    token[1, 3:] = PAD
    torch.testing.assert_close(network(token)[1:2, :3], network(token[1:2, :3]))


def test_every_parameter_learns(make: Any) -> None:
    network = make()
    token = tokens(4, 9)
    token[:, 4] = VOCAB
    network(token).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_a_transformer_reads_no_more_than_its_context() -> None:
    network = KINDS["transformer"]()
    with pytest.raises(ValueError, match="token has 13 tokens: give at most context, 12"):
        network(tokens(1, 13))
    assert KINDS["LSTM"]()(tokens(1, 13)).shape == (1, 13, VOCAB)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_places_are_told_apart_by_all_kinds_of_positions(positions: str) -> None:
    network = spread(KINDS["transformer"](positions=positions))
    token = tokens(1, 7)
    turned = network(token.flip(1)).flip(1)
    assert (network(token) - turned).abs().max() > 1e-3


def test_no_context_is_no_limit_but_for_learned_positions() -> None:
    network = MaskedTransformer(VOCAB, None, dim=16, heads=2, layers=1)
    assert network(tokens(1, 40)).shape == (1, 40, VOCAB)
    with pytest.raises(ValueError, match="context is None: learned positions need"):
        MaskedTransformer(VOCAB, None, positions="learned")


def test_the_mask_has_an_embedding_of_its_own(make: Any) -> None:
    network = spread(make())
    token = tokens(1, 7)
    assert not torch.equal(network(token), network(token.index_fill(1, torch.tensor([3]), VOCAB)))
    with pytest.raises(IndexError):
        network(torch.full((1, 2), VOCAB + 1))


def test_attention_is_recorded_and_has_no_direction() -> None:
    network = spread(KINDS["transformer"]())
    with recorded_attention(network) as maps:
        network(padded(tokens(2, 5), 2))
    assert len(maps) == 2
    for weights in maps.values():
        assert weights.shape == (2, 2, 7, 7)
        assert (weights[..., :5] > 0).all()
        assert not weights[..., 5:].any()


def test_its_blocks_can_be_told_apart() -> None:
    network = KINDS["transformer"]()
    named = [block.name for block in blocks_of(network)]
    assert named[0].startswith("embedding")
    assert [name for name in named if "blocks" in name] == ["encoder.blocks.0", "encoder.blocks.1"]


def test_the_mean_is_over_what_is_known() -> None:
    x = torch.arange(12.0).view(2, 3, 2)
    known = torch.tensor([[True, True, False], [False, False, False]])
    assert mean_over_known(x, known).tolist() == [[1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("make_wrong", "start"),
    [
        (lambda: MaskedTransformer(VOCAB, 0), "context is 0:"),
        (lambda: MaskedTransformer(VOCAB, 8, dim=10, heads=3), "heads is 3: choose a divisor of dim, 10"),
        (lambda: MaskedTransformer(VOCAB, 8, layers=0), "layers is 0:"),
        (lambda: MaskedRecurrent(VOCAB, 0), "context is 0:"),
        (lambda: MaskedRecurrent(VOCAB, 8, hidden=0), "hidden is 0:"),
        (lambda: MaskedRecurrent(VOCAB, 8, dropout=1.0), "dropout is 1.0:"),
    ],
)
def test_an_impossible_size_is_one_line(make_wrong: Any, start: str) -> None:
    with pytest.raises(ValueError, match=start):
        make_wrong()
