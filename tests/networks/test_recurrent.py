"""Recurrent networks: padding and company change nothing, attention is what the papers say, and how they start."""

from typing import Any

import pytest
import torch
from small_sequences import RECURRENT, VOCAB, sources, spread, tokens
from torch import nn

from networks import RecurrentLM, RecurrentSeq2Seq, recorded_attention
from networks.recurrent_layers import AdditiveAttention, GeneralAttention, RecurrentEncoder, RecurrentStack
from networks.tokens import BOS, EOS, PAD

F64 = torch.float64
CELLS = pytest.mark.parametrize("cell", ["lstm", "gru"])
EVERY_KIND = pytest.mark.parametrize("kind", RECURRENT, ids=lambda kind: "-".join(map(str, kind.values())))
ATTENDING = pytest.mark.parametrize("kind", RECURRENT[:4], ids=lambda kind: "-".join(map(str, kind.values())))


def translator(**kind: Any) -> RecurrentSeq2Seq:
    return spread(RecurrentSeq2Seq(VOCAB, dim=8, hidden=12, **kind))


@CELLS
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("widths", [[8], [1] * 8, [3, 1, 4]], ids=str)
def test_a_text_may_be_read_in_parts(cell: Any, tied: bool, widths: list[int]) -> None:
    network, token = spread(RecurrentLM(VOCAB, 8, dim=8, hidden=12, cell=cell, tied=tied)), tokens(2, 8)
    state, parts = None, []
    for part in token.split(widths, 1):
        logits, state = network.advance(part, state)
        parts.append(logits)
    logits = network(token)
    torch.testing.assert_close(torch.cat(parts, 1), logits)
    token[:, 5] = 4 + (token[:, 5] - 3) % (VOCAB - 4)
    moved = (network(token) - logits).abs().amax((0, 2))
    assert not moved[:5].any()
    assert (moved[5:] > 1e-9).all()


@CELLS
def test_padding_moves_no_state_wherever_it_is(cell: Any) -> None:
    network = spread(RecurrentLM(VOCAB, 8, dim=8, hidden=12, cell=cell))
    token = tokens(4, 6)
    token[0, :4] = PAD
    token[1, 4:] = PAD
    token[2, 2] = PAD
    token[3] = PAD
    _, begun = network.advance(tokens(4, 2, seed=1))
    logits, state = network.advance(token, begun)
    for row in range(3):
        there = token[row] != PAD
        alone, its_state = network.advance(token[row, there].unsqueeze(0), begun.select(torch.tensor([row])))
        torch.testing.assert_close(logits[row, there], alone[0])
        torch.testing.assert_close(state.select(torch.tensor([row])), its_state)
    torch.testing.assert_close(state.select(torch.tensor([3])), begun.select(torch.tensor([3])))
    _, after = network.advance(torch.full((4, 1), PAD), state)
    torch.testing.assert_close(after, state)
    _, from_nothing = network.advance(torch.full((4, 3), PAD))
    assert not any(part.any() for part in from_nothing.hidden)


@CELLS
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_encoder_agrees_with_packed_sequences(cell: Any, bidirectional: bool) -> None:
    encoder = spread(RecurrentEncoder(5, 6, 2, cell=cell, bidirectional=bidirectional))
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    theirs = kind(5, 6, 2, batch_first=True, bidirectional=bidirectional).double()
    for direction, stacks in (("", encoder.forwards), ("_reverse", encoder.backwards)):
        for layer, stack in enumerate(stacks):
            for name, parameter in stack.rnn.named_parameters():
                theirs.get_parameter(name.replace("_l0", f"_l{layer}{direction}")).data.copy_(parameter)
    x, length = torch.randn(4, 7, 5, dtype=F64), torch.tensor([7, 1, 4, 6])
    known = torch.arange(7) < length.unsqueeze(1)
    packed = nn.utils.rnn.pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
    out, ended = theirs(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    y, last = encoder(x, known)
    torch.testing.assert_close(y[known], expected[known])
    output = ended[0] if cell == "lstm" else ended
    torch.testing.assert_close(last, torch.cat(list(output[-2:] if bidirectional else output[-1:]), -1))


@ATTENDING
def test_padding_is_never_attended_to(kind: dict[str, Any]) -> None:
    network, source, target = translator(**kind), sources(), tokens(3, 6, seed=1)
    logits = network(source, target)
    with recorded_attention(network) as recorded:
        torch.testing.assert_close(network(source, target), logits)
    with recorded_attention(network) as in_steps:
        state = network.start(source)
        for t in range(6):
            _, state = network.advance(target[:, t : t + 1], state)
    weights = recorded["decoder.cross"]
    assert weights.shape == (3, 1, 6, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 1, 6))
    padding = (source == PAD)[:, None, None].expand_as(weights)
    assert not weights[padding].any()
    assert weights[~padding].all()
    torch.testing.assert_close(in_steps, recorded)


@pytest.mark.parametrize("kind", [AdditiveAttention, GeneralAttention])
def test_scores_are_those_of_the_papers(kind: type[nn.Module]) -> None:
    sizes = (4, 6, 5) if kind is AdditiveAttention else (4, 6)
    layer = spread(kind(*sizes))
    query, memory = torch.randn(2, 3, 4, dtype=F64), torch.randn(2, 5, 6, dtype=F64)
    known = torch.tensor([[True] * 5, [True, True, False, False, False]])
    y = layer(query, layer.key(memory), memory, known)
    for b, t in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        scores = []
        for m in memory[b][known[b]]:
            if kind is AdditiveAttention:
                inner = (layer.query.weight @ query[b, t] + layer.query.bias + layer.key.weight @ m).tanh()
                scores.append(layer.score.weight[0] @ inner)
            else:
                scores.append(query[b, t] @ layer.key.weight @ m)
        torch.testing.assert_close(y[b, t], torch.stack(scores).softmax(0) @ memory[b][known[b]])


@CELLS
def test_what_recurs_is_orthogonal_and_forgets_little(cell: Any) -> None:
    lm = RecurrentLM(VOCAB, 8, dim=8, hidden=12, cell=cell)
    pair = RecurrentSeq2Seq(VOCAB, dim=8, hidden=12, layers=2, cell=cell)
    gates, seen = (4 if cell == "lstm" else 3), 0
    for network in (lm, pair):
        for name, parameter in network.named_parameters():
            if "weight_hh" in name:
                seen += 1
                for matrix in parameter.split(12):
                    torch.testing.assert_close(matrix @ matrix.T, torch.eye(12), atol=1e-5, rtol=0)
            elif "bias_ih" in name:
                total = parameter + network.get_parameter(name.replace("bias_ih", "bias_hh"))
                expected = torch.zeros(gates, 12)
                if cell == "lstm":
                    expected[1] = 1
                assert total.view(gates, 12).equal(expected)
    assert seen == 2 + 4 + 2


def test_the_forget_gate_is_the_second() -> None:
    stack = RecurrentStack(1, 4)
    for parameter in stack.rnn.parameters():
        if parameter.ndim == 2:
            nn.init.zeros_(parameter)
    zero, full = torch.zeros(1, 1, 4), torch.ones(1, 1, 4)
    _, (_, cell) = stack(torch.zeros(1, 1, 1), (zero, full))
    torch.testing.assert_close(cell, torch.full_like(cell, torch.tensor(1.0).sigmoid().item()))


def test_tied_weights_are_one_parameter() -> None:
    tied, lm = RecurrentSeq2Seq(VOCAB, dim=8, hidden=12), RecurrentLM(VOCAB, 8, dim=8, hidden=12, tied=True)
    assert tied.source_embedding.weight is tied.target_embedding.weight is tied.output.weight
    assert lm.embedding.weight is lm.output.weight
    assert len({id(p) for p in RecurrentSeq2Seq(VOCAB, dim=8, hidden=12, tied=False).parameters()}) == (
        len({id(p) for p in tied.parameters()}) + 2
    )


@EVERY_KIND
def test_all_parameters_learn_in_mixed_precision_with_dropout(kind: dict[str, Any]) -> None:
    torch.manual_seed(0)
    pair = RecurrentSeq2Seq(VOCAB, dim=8, hidden=12, dropout=0.1, **kind)
    model = RecurrentLM(VOCAB, 8, dim=8, hidden=12, dropout=0.1, cell=kind["cell"])
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens(2, 12)), pair(sources(), tokens(3, 12))
        with torch.no_grad():
            _, state = model.advance(tokens(2, 3))
            assert model.advance(tokens(2, 1), state)[0].isfinite().all()
            _, begun = pair.advance(tokens(3, 1), pair.start(sources()))
            assert pair.advance(tokens(3, 1), begun)[0].isfinite().all()
    sum(each.float().log_softmax(-1)[..., 4:7].mean() for each in logits).backward()
    for network in (model, pair):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@EVERY_KIND
def test_dropout_is_for_training(kind: dict[str, Any]) -> None:
    network = RecurrentSeq2Seq(VOCAB, dim=8, hidden=12, dropout=0.5, **kind)
    assert not network(sources(), tokens(3, 4)).equal(network(sources(), tokens(3, 4)))
    network.eval()
    assert network(sources(), tokens(3, 4)).equal(network(sources(), tokens(3, 4)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 0}, "hidden is 0: choose at least 1"),
        ({"layers": 0}, "layers is 0: choose at least 1"),
        ({"dim": 0}, "dim is 0: choose at least 1"),
        ({"dropout": 1.5}, r"dropout is 1\.5: choose one in \[0, 1\)"),
    ],
)
@pytest.mark.parametrize("kind", [RecurrentLM, RecurrentSeq2Seq])
def test_what_cannot_be_is_one_line(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind(VOCAB, **({"context": 8} if kind is RecurrentLM else {}) | arguments)


@pytest.mark.parametrize("attention", ["bahdanau", "luong"])
def test_it_learns_to_copy(attention: Any) -> None:
    torch.manual_seed(0)
    network = RecurrentSeq2Seq(VOCAB, dim=32, hidden=32, attention=attention)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        word = torch.randint(4, VOCAB, (64, 4))
        source = nn.functional.pad(word, (0, 1), value=EOS)
        target = nn.functional.pad(source, (1, 0), value=BOS)
        loss = nn.functional.cross_entropy(network(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3  # of 1.6 for one who guesses
