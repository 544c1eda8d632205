"""Networks that turn one sequence into another: company, steps and chosen rows change nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from small_sequences import RECURRENT, TRANSFORMERS, VOCAB, sources, spread, tokens

from networks import RecurrentSeq2Seq, TransformerSeq2Seq
from networks.tokens import PAD

Translator = Callable[[], Any]


def transformer(**kind: Any) -> Any:
    return spread(TransformerSeq2Seq(VOCAB, dim=16, heads=2, layers=2, decoder_layers=1, context=12, **kind))


def recurrent(**kind: Any) -> Any:
    return spread(RecurrentSeq2Seq(VOCAB, dim=8, hidden=12, **kind))


EVERY_KIND = pytest.mark.parametrize(
    "make",
    [partial(transformer, **kind) for kind in TRANSFORMERS] + [partial(recurrent, **kind) for kind in RECURRENT],
    ids=lambda make: "-".join(map(str, (make.func.__name__, *make.keywords.values()))),
)


@EVERY_KIND
def test_a_translation_is_the_same_in_company(make: Translator) -> None:
    network, source, target = make(), sources(), tokens(3, 6, seed=1)
    target[1, 3:] = PAD
    logits = network(source, target)
    for row, (length, written) in enumerate(((7, 6), (4, 3), (2, 6))):
        alone = network(source[row : row + 1, :length], target[row : row + 1, :written])
        torch.testing.assert_close(logits[row, :written], alone[0])


@EVERY_KIND
@pytest.mark.parametrize("widths", [[6], [1] * 6, [2, 1, 3]], ids=str)
def test_a_translation_may_be_made_in_steps(make: Translator, widths: list[int]) -> None:
    network, source, target = make(), sources(), tokens(3, 6, seed=1)
    state, parts = network.start(source), []
    for part in target.split(widths, 1):
        logits, state = network.advance(part, state)
        parts.append(logits)
    logits = network(source, target)
    torch.testing.assert_close(torch.cat(parts, 1), logits)
    target[:, 3] = 4 + (target[:, 3] - 3) % (VOCAB - 4)
    moved = (network(source, target) - logits).abs().amax((0, 2))
    assert not moved[:3].any()
    assert (moved[3:] > 1e-9).all()


@EVERY_KIND
def test_rows_of_a_state_can_be_chosen(make: Translator) -> None:
    network, source = make(), sources()
    _, state = network.advance(tokens(3, 2), network.start(source))
    rows, following = torch.tensor([2, 0, 0, 1]), tokens(4, 1, seed=2)
    logits, _ = network.advance(following, state.select(rows))
    for place, row in enumerate(rows.tolist()):
        _, alone = network.advance(tokens(3, 2)[row : row + 1], network.start(source[row : row + 1]))
        torch.testing.assert_close(logits[place], network.advance(following[place : place + 1], alone)[0][0])
