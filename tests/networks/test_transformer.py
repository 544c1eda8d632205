"""Transformers: what each position may know, and that a cache, padding and company change nothing."""

from functools import partial
from typing import Any

import pytest
import torch
from small_sequences import TRANSFORMERS, VOCAB, sources, spread, tokens
from torch import Tensor, nn

from networks import TransformerEncoder, TransformerLM, TransformerSeq2Seq, recorded_attention
from networks.tokens import BOS, EOS, PAD
from networks.transformer_layers import BlockOptions, FeedForward

EVERY_KIND = pytest.mark.parametrize("kind", TRANSFORMERS, ids=lambda kind: "-".join(map(str, kind.values())))


def language_model(**kind: Any) -> TransformerLM:
    return spread(TransformerLM(VOCAB, 12, dim=16, heads=2, layers=2, **kind))


def translator(**kind: Any) -> TransformerSeq2Seq:
    return spread(TransformerSeq2Seq(VOCAB, dim=16, heads=2, layers=2, decoder_layers=1, context=12, **kind))


def changed(token: Tensor, place: int) -> Tensor:
    other = token.clone()
    other[:, place] = 4 + (other[:, place] - 3) % (VOCAB - 4)
    return other


@EVERY_KIND
def test_what_comes_later_is_not_known(kind: dict[str, Any]) -> None:
    network, token = language_model(**kind), tokens(2, 8)
    logits = network(token)
    for place in range(1, 8):
        moved = (network(changed(token, place)) - logits).abs().amax((0, 2))
        assert not moved[:place].any()
        assert (moved[place:] > 1e-6).all()


@EVERY_KIND
def test_the_decoder_does_not_know_what_comes_later_but_all_of_the_source(kind: dict[str, Any]) -> None:
    network, source, target = translator(**kind), tokens(2, 5), tokens(2, 6, seed=1)
    logits = network(source, target)
    for place in range(1, 6):
        moved = (network(source, changed(target, place)) - logits).abs().amax((0, 2))
        assert not moved[:place].any()
        assert (moved[place:] > 1e-6).all()
    for place in range(5):
        moved = (network(changed(source, place), target) - logits).abs().amax((0, 2))
        assert (moved > 1e-6).all()


@EVERY_KIND
@pytest.mark.parametrize("widths", [[8], [1] * 8, [3, 1, 1, 3]], ids=str)
def test_a_cache_changes_nothing(kind: dict[str, Any], widths: list[int]) -> None:
    network, token = language_model(**kind), tokens(2, 8)
    state, parts = None, []
    for part in token.split(widths, 1):
        logits, state = network.advance(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), network(token))


@EVERY_KIND
def test_a_text_is_the_same_in_company_with_padding_on_its_left(kind: dict[str, Any]) -> None:
    network, token = language_model(**kind), tokens(3, 6)
    token[0, :4], token[1, :1] = PAD, PAD
    logits, state = network.advance(token)
    after, _ = network.advance(token[:, -1:], state)
    for row, pad in enumerate((4, 1, 0)):
        alone, its_state = network.advance(token[row : row + 1, pad:])
        torch.testing.assert_close(logits[row, pad:], alone[0])
        torch.testing.assert_close(after[row], network.advance(token[row : row + 1, -1:], its_state)[0][0])
        torch.testing.assert_close(network(token[row : row + 1, pad:])[0], alone[0])


def test_a_row_of_padding_alone_is_no_number_that_is_none() -> None:
    network = language_model()
    logits, state = network.advance(torch.full((2, 3), PAD))
    after, _ = network.advance(tokens(2, 1), state)
    assert logits.isfinite().all()
    torch.testing.assert_close(after, network(tokens(2, 1)))


def test_padding_is_never_attended_to() -> None:
    network, source, target = translator(tied=False), sources(), tokens(3, 6, seed=1)
    logits = network(source, target)
    with recorded_attention(network) as recorded:
        again = network(source, target)
    torch.testing.assert_close(again, logits)
    assert set(recorded) == {
        "encoder.blocks.0.attention",
        "encoder.blocks.1.attention",
        "decoder.blocks.0.attention",
        "decoder.blocks.0.cross",
    }
    padding = (source == PAD)[:, None, None]
    for path, weights in recorded.items():
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:3]))
        if path != "decoder.blocks.0.attention":
            assert not weights[padding.expand_as(weights)].any()
            assert weights[~padding.expand_as(weights)].all()
        else:
            assert not weights.triu(1).any()
    with torch.no_grad():
        network.source_embedding.token.weight[PAD] += 100
    torch.testing.assert_close(network(source, target), logits)


def test_recorded_steps_are_those_of_the_whole() -> None:
    network, source, target = translator(), sources(), tokens(3, 6, seed=1)
    with recorded_attention(network) as whole:
        network(source, target)
    with recorded_attention(network) as in_steps:
        state = network.start(source)
        for t in range(6):
            _, state = network.advance(target[:, t : t + 1], state)
    torch.testing.assert_close(in_steps, whole)


def test_tied_weights_are_one_parameter() -> None:
    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    assert count(TransformerLM(50, 8, dim=16)) - count(TransformerLM(50, 8, dim=16, tied=True)) == 50 * 16
    assert count(TransformerSeq2Seq(50, dim=16, tied=False)) - count(TransformerSeq2Seq(50, dim=16)) == 2 * 50 * 16
    tied = TransformerSeq2Seq(50, dim=16)
    matrices = [tied.source_embedding.token.weight, tied.target_embedding.token.weight, tied.output.weight]
    tied(tokens(2, 3), tokens(2, 3)).sum().backward()
    assert all(matrix is matrices[0] for matrix in matrices)
    tied.load_state_dict(TransformerSeq2Seq(50, dim=16).state_dict())
    assert tied.output.weight is tied.source_embedding.token.weight


@pytest.mark.parametrize("norm_first", [True, False], ids=["pre-norm", "post-norm"])
@pytest.mark.parametrize("make", [partial(TransformerLM, 50, 8), partial(TransformerSeq2Seq, 50)])
def test_the_layers_start_after_glorot(make: Any, norm_first: bool) -> None:
    torch.manual_seed(0)
    network = make(dim=64, layers=8, norm_first=norm_first)
    layers = 3 if isinstance(network, TransformerSeq2Seq) else 2
    share = (layers * 8) ** -0.5 if norm_first else 1.0  # what layers add shall sum to the size of one
    for block in network.decoder.blocks:
        for matrix in block.attention.qkv.weight.split(64):
            assert matrix.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.1)
            assert matrix.abs().max().item() <= (6 / 128) ** 0.5
        assert block.attention.out.weight.std().item() == pytest.approx(share * (2 / 128) ** 0.5, rel=0.1)
        assert block.feedforward.out.weight.std().item() == pytest.approx(share * (2 / 320) ** 0.5, rel=0.1)
        assert not block.feedforward.out.bias.any()


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_what_the_first_block_reads_is_of_the_size_of_one(positions: Any) -> None:
    torch.manual_seed(0)
    network = TransformerLM(50, 8, dim=64, positions=positions)
    x = network.embedding(tokens(16, 8), torch.arange(8))
    expected = {"learned": 2.0, "sinusoidal": 1.5, "rotary": 1.0}[positions]  # of token and position
    assert x.square().mean().item() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("kind", TRANSFORMERS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_a_new_network_guesses_evenly(kind: dict[str, Any]) -> None:
    torch.manual_seed(0)
    logits = TransformerLM(VOCAB, 12, dim=64, **{**kind, "tied": False})(tokens(8, 12))
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens(8, 12, seed=1).flatten())
    assert loss.item() == pytest.approx(torch.tensor(VOCAB).log().item(), abs=0.7)


def test_the_encoder_takes_embeddings_and_sees_both_sides() -> None:
    encoder = spread(TransformerEncoder(BlockOptions(dim=16, heads=2), layers=1))
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    other = x.clone()
    other[:, 4, 0] += 1
    assert ((encoder(other) - encoder(x)).abs().amax(-1) > 1e-9).all()
    known = torch.tensor([[True, True, True, True, False]])
    torch.testing.assert_close(encoder(other, known)[:, :4], encoder(x[:, :4]))


@pytest.mark.parametrize(
    ("dim", "activation", "hidden"), [(128, "gelu", 512), (128, "swiglu", 344), (16, "swiglu", 40)]
)
def test_width_of_the_hidden_layer(dim: int, activation: Any, hidden: int) -> None:
    layer = FeedForward(BlockOptions(dim, activation=activation))
    assert layer.out.in_features == hidden
    assert FeedForward(BlockOptions(dim, feedforward=24, activation=activation)).out.in_features == 24


def test_swiglu_is_a_gated_product() -> None:
    layer = spread(FeedForward(BlockOptions(4, feedforward=3, activation="swiglu")))
    x = torch.randn(2, 4, dtype=torch.float64)
    gate, value = (x @ layer.hidden.weight.T + layer.hidden.bias).split(3, -1)
    expected = (gate / (1 + (-gate).exp()) * value) @ layer.out.weight.T + layer.out.bias
    torch.testing.assert_close(layer(x), expected)


@EVERY_KIND
def test_all_parameters_learn_in_mixed_precision_with_dropout(kind: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = TransformerLM(VOCAB, 12, dim=16, heads=2, layers=2, dropout=0.1, **kind)
    pair = TransformerSeq2Seq(VOCAB, dim=16, heads=2, context=12, dropout=0.1, **kind)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens(2, 12)), pair(sources(), tokens(3, 12))
        with torch.no_grad():
            _, state = model.advance(tokens(2, 3))
            assert model.advance(tokens(2, 1), state)[0].isfinite().all()
    sum(each.float().log_softmax(-1)[..., 4:7].mean() for each in logits).backward()
    for network in (model, pair):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_dropout_is_for_training() -> None:
    network = TransformerLM(VOCAB, 12, dim=16, heads=2, dropout=0.5)
    assert not network(tokens(2, 8)).equal(network(tokens(2, 8)))
    network.eval()
    assert network(tokens(2, 8)).equal(network(tokens(2, 8)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": 0}, "context is 0: choose at least 1"),
        ({"heads": 3}, "heads is 3: choose a divisor of dim, 128"),
        ({"layers": 0}, "layers is 0: choose at least 1"),
        ({"feedforward": 0}, "feedforward is 0: choose at least 1"),
        ({"dropout": -0.1}, r"dropout is -0\.1: choose one in \[0, 1\)"),
        ({"dim": 12}, "dim is 12: rotary positions need an even number for each of 4 heads"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        TransformerLM(**{"vocab_size": VOCAB, "context": 8} | arguments)


def test_texts_that_are_too_long_are_one_line() -> None:
    model, pair = language_model(), translator()
    with pytest.raises(ValueError, match=r"^token has 13 tokens: give at most context, 12$"):
        model(tokens(1, 13))
    _, state = model.advance(tokens(1, 12))
    with pytest.raises(ValueError, match=r"^token has 13 tokens: give at most context, 12$"):
        model.advance(tokens(1, 1), state)
    with pytest.raises(ValueError, match=r"^source has 13 tokens: give at most context, 12$"):
        pair(tokens(1, 13), tokens(1, 2))
    with pytest.raises(ValueError, match=r"^target has 13 tokens: give at most context, 12$"):
        pair(tokens(1, 2), tokens(1, 13))
    with pytest.raises(ValueError, match=r"^decoder_layers is 0: choose at least 1$"):
        TransformerSeq2Seq(VOCAB, decoder_layers=0)


def test_it_learns_to_reverse() -> None:
    torch.manual_seed(0)
    network = TransformerSeq2Seq(VOCAB, dim=32, heads=2, layers=1)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(200):
        word = torch.randint(4, VOCAB, (64, 4))
        source = nn.functional.pad(word, (0, 1), value=EOS)
        target = nn.functional.pad(nn.functional.pad(word.flip(1), (1, 0), value=BOS), (0, 1), value=EOS)
        loss = nn.functional.cross_entropy(network(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3  # of log(7) = 1.9 for one who guesses


@pytest.mark.parametrize("kind", TRANSFORMERS[:2], ids=["rotary", "learned"])
def test_it_compiles_to_one_graph(kind: dict[str, Any]) -> None:
    model, pair = language_model(**kind), translator(**kind)
    for network, given in ((model, (tokens(2, 8),)), (pair, (sources(), tokens(3, 6)))):
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(*given), network(*given))
