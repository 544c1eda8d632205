"""Searches against enumeration."""

import itertools
from typing import Any

import pytest
import torch
from scripted import VOCAB, WRITABLE, Scripted, follow, scripted
from torch import Tensor, nn

from networks import RecurrentSeq2Seq, TransformerSeq2Seq, beam_search, greedy
from networks.tokens import BOS, EOS, PAD, UNK


def translator(kind: str, seed: int) -> Any:
    network = {
        "transformer": lambda: TransformerSeq2Seq(VOCAB, dim=16, heads=2, layers=1),
        "bahdanau": lambda: RecurrentSeq2Seq(VOCAB, dim=16, hidden=16),
        "luong": lambda: RecurrentSeq2Seq(VOCAB, dim=16, hidden=16, attention="luong", cell="gru"),
    }[kind]()
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network.double().eval()


EVERY_KIND = pytest.mark.parametrize("kind", ["transformer", "bahdanau", "luong"])


def sources() -> Tensor:
    source = torch.randint(4, VOCAB, (5, 6), generator=torch.Generator().manual_seed(0))
    for row, length in enumerate((6, 3, 5, 2, 4)):
        source[row, length - 1] = EOS
        source[row, length:] = PAD
    return source


LIMIT = torch.tensor([4, 3, 4, 1, 2])


def best_of_all(table: Tensor, limit: int, length_penalty: float) -> tuple[float, list[int]]:
    """By trying every sequence."""
    likelihood = table.double().log_softmax(-1)
    found = []
    for length in range(limit):
        for words in itertools.product(WRITABLE, repeat=length):
            written = [*words, EOS]
            total = sum(likelihood[a, b].item() for a, b in itertools.pairwise([BOS, *written]))
            found.append((total / ((5 + len(written)) / 6) ** length_penalty, written))
    return max(found)


@EVERY_KIND
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy(kind: str, seed: int) -> None:
    network, limit = translator(kind, seed), LIMIT * 3
    written = greedy(network.advance, network.start(sources()), limit)
    found, score = beam_search(network.advance, network.start(sources()), limit, 1, 0.7)
    assert found.equal(written)
    target = nn.functional.pad(written, (1, 0), value=BOS)[:, :-1]
    likelihood = network(sources(), target).log_softmax(-1).gather(-1, written.unsqueeze(-1)).squeeze(-1)
    there = written != PAD
    penalty = ((5 + there.sum(1)) / 6) ** 0.7
    torch.testing.assert_close(score, ((likelihood * there).sum(1) / penalty).float())


@EVERY_KIND
def test_greedy_writes_the_likeliest_token_until_the_end(kind: str) -> None:
    network = translator(kind, 0)
    written = greedy(network.advance, network.start(sources()), LIMIT)
    for row, source in enumerate(sources()):
        target, source = [BOS], source[source != PAD].unsqueeze(0)
        while target[-1] != EOS:
            logits = network(source, torch.tensor([target]))[0, -1]
            choice = EOS if len(target) == LIMIT[row] else max((EOS, *WRITABLE), key=lambda v: logits[v].item())
            target.append(choice)
        assert written[row].tolist() == target[1:] + [PAD] * (written.shape[1] + 1 - len(target))


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 3.0])
def test_a_wide_beam_finds_the_best_of_all(length_penalty: float) -> None:
    state = scripted(30, seed=3)
    limit = torch.arange(30) % 4 + 1
    found, score = beam_search(follow, state, limit, 60, length_penalty)
    lengths = set()
    for row in range(30):
        expected, written = best_of_all(state.table[row], int(limit[row]), length_penalty)
        assert found[row][found[row] != PAD].tolist() == written
        assert score[row].item() == pytest.approx(expected, rel=1e-5)
        lengths.add(len(written))
    assert len(lengths) > 1


def test_a_wider_beam_finds_what_greedy_misses() -> None:
    state = scripted(40, seed=5)
    limit = torch.full((40,), 6)
    scores = [beam_search(follow, state, limit, beam, 0.0)[1] for beam in (1, 4)]
    assert (scores[1] - scores[0]).mean() > 0.05


def test_a_search_may_follow_one_that_seems_worse() -> None:
    """A is likelier than B, but nothing that follows it is."""
    table = torch.full((1, VOCAB, VOCAB), -20.0)
    table[0, BOS, 4], table[0, BOS, 5] = 0.0, -0.1
    table[0, 4, WRITABLE] = 0.0
    table[0, 5, EOS] = 0.0
    state = Scripted(table)
    limit = torch.tensor([3])
    assert greedy(follow, state, limit)[0, 0] == 4
    assert beam_search(follow, state, limit, 2, 0.0)[0].tolist() == [[5, EOS]]


def test_a_length_penalty_makes_long_sequences() -> None:
    state, limit = scripted(40, seed=7), torch.full((40,), 8)
    lengths = [(beam_search(follow, state, limit, 8, alpha)[0] != PAD).sum().item() for alpha in (0.0, 1.0, 3.0)]
    assert lengths[0] < lengths[1] < lengths[2]


@EVERY_KIND
@pytest.mark.parametrize("beam", [1, 3, 40])
def test_a_search_is_the_same_in_company(kind: str, beam: int) -> None:
    network = translator(kind, 1)
    found, score = beam_search(network.advance, network.start(sources()), LIMIT, beam, 0.6)
    for row in range(5):
        source = sources()[row : row + 1]
        start = network.start(source[:, : (source != PAD).sum()])
        alone, its_score = beam_search(network.advance, start, LIMIT[row : row + 1], beam, 0.6)
        assert found[row][found[row] != PAD].equal(alone[0])
        torch.testing.assert_close(score[row], its_score[0])


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_what_means_nothing_is_never_written_and_limits_hold(beam: int) -> None:
    state = scripted(20, seed=1)
    state.table[..., [PAD, BOS, UNK]] = 30.0
    state.table[..., EOS] -= 4
    limit = torch.arange(20) % 5 + 1
    for written in (greedy(follow, state, limit), beam_search(follow, state, limit, beam, 1.0)[0]):
        assert not torch.isin(written, torch.tensor([BOS, UNK])).any()
        length = (written != PAD).sum(1)
        assert (length <= limit).all()
        assert (length == limit).any()
        assert (written.gather(1, length.unsqueeze(1) - 1) == EOS).all()
        assert ((written == EOS).sum(1) == 1).all()


def test_finished_rows_leave_the_batch() -> None:
    sizes = []

    def advance(token: Tensor, state: Scripted) -> tuple[Tensor, Scripted]:
        sizes.append(len(token))
        return follow(token, state)

    state = scripted(4, seed=0)
    state.table[..., EOS] = -50.0
    greedy(advance, state, torch.tensor([1, 2, 2, 4]))
    assert sizes == [4, 3, 1, 1]
    sizes.clear()
    beam_search(advance, state, torch.tensor([1, 2, 2, 4]), 3, 1.0)
    assert sizes == [4, 9, 3, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.tensor([1, 0]), 1, 0.0), r"limit is \[1, 0\]: give at least one row, and each at least 1"),
        ((torch.tensor([1, 1]), 0, 0.0), "beam is 0: choose at least 1"),
        ((torch.tensor([1, 1]), 1, -0.5), r"length_penalty is -0\.5: choose 0 or a positive number"),
    ],
)
def test_impossible_searches_are_one_line(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        beam_search(follow, scripted(2, 0), *arguments)
