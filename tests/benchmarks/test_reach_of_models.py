"""How far back a model reaches: what is counted by distance and length, and the size of gradients."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks import training_speed as speed
from benchmarks.distances import exact_tally, gradient_norms, measured, recall_tally
from datamodules import AssociativeRecall, PythonDocs, RandomStrings
from datamodules.batch import SequencePairBatch, TokenBatch
from lit_models import LanguageModel, Seq2Seq
from networks import BOS, EOS, PAD, RecurrentLM, RecurrentSeq2Seq, TransformerLM, TransformerSeq2Seq


def token_batch(token: Tensor, target: Tensor) -> TokenBatch:
    asked = (target != PAD).sum(1)
    return TokenBatch(token, target, asked, torch.arange(len(token)), int(asked.sum()))


class Leaky(nn.Module):
    """h_t = a h_{t-1} + x_t, of which the logits are a linear function."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = a
        self.embedding = nn.Embedding(9, 4)
        self.output = nn.Linear(4, 9)

    def forward(self, token: Tensor) -> Tensor:
        x = self.embedding(token)
        states = [x[:, 0]]
        for t in range(1, token.shape[1]):
            states.append(self.a * states[-1] + x[:, t])
        logits: Tensor = self.output(torch.stack(states, 1))
        return logits


@pytest.mark.parametrize("a", [0.5, 0.9, 1.1])
def test_gradient_of_a_linear_recurrence_falls_geometrically(a: float) -> None:
    torch.manual_seed(0)
    network = Leaky(a).double()
    token = torch.randint(4, 9, (6, 12))
    batches = [token_batch(token[:4], token[:4].roll(-1, 1)), token_batch(token[4:], token[4:].roll(-1, 1))]
    assert gradient_norms(network, batches) == pytest.approx([a**k for k in range(12)])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.embedding._forward_hooks


def test_windows_that_are_filled_up_have_no_part_in_the_gradient() -> None:
    torch.manual_seed(0)
    network = RecurrentLM(9, 8, dim=4, hidden=6, layers=1)
    token = torch.randint(4, 9, (4, 8))
    filled = token.clone()
    filled[:, 5:] = PAD
    whole = token_batch(token, token)
    mixed = token_batch(torch.cat([filled, token]), torch.cat([filled, token]))
    assert gradient_norms(network, [mixed, token_batch(filled, filled)]) == pytest.approx(
        gradient_norms(network, [whole])
    )
    with pytest.raises(ValueError, match="no whole window"):
        gradient_norms(network, [token_batch(filled, filled)])


@pytest.mark.parametrize("kind", [TransformerLM, RecurrentLM])
def test_gradients_of_real_networks_reach_every_token(kind: Any) -> None:
    torch.manual_seed(0)
    token = torch.randint(4, 11, (3, 10))
    norms = gradient_norms(kind(11, 10, dim=8, layers=2).eval(), [token_batch(token, token.roll(-1, 1))])
    assert len(norms) == 10
    assert norms[0] == 1
    assert min(norms) > 0


class Nearsighted:
    """Knows the values of pairs whose key was read less than so many tokens ago, and says 0 else."""

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def __call__(self, token: Tensor) -> Tensor:
        said = torch.zeros_like(token)
        for row, line in enumerate(token.tolist()):
            for place, key in enumerate(line):
                first = line.index(key)
                if 0 < place - first < self.reach:
                    said[row, place] = line[first + 1]
        return nn.functional.one_hot(said, int(token.max()) + 1).float()


def test_right_answers_are_counted_by_distance() -> None:
    # key 10 has value 20, key 11 has 21; a filler, 4; then both are asked for
    token = torch.tensor([[10, 20, 11, 21, 4, 10, 20, 11, 21], [10, 20, 11, 21, 4, 11, 21, 10, 20]])
    target = torch.full_like(token, PAD)
    target[:, 5], target[:, 7] = token[:, 6], token[:, 8]
    batch = token_batch(token, target)
    assert recall_tally(Nearsighted(5), [batch]) == {3: [1, 1], 5: [0, 2], 7: [0, 1]}
    assert recall_tally(Nearsighted(6), [batch, batch]) == {3: [2, 2], 5: [4, 4], 7: [0, 2]}


def test_all_questions_of_the_data_are_counted() -> None:
    data = AssociativeRecall(pairs=3, keys=5, length=20, train_size=4, val_size=0, test_size=10)
    data.setup("test")
    tally = recall_tally(Nearsighted(100), data.test_dataloader())
    assert set(tally) <= set(range(20 - 6 - 4, 20 - 6 + 5))
    assert sum(right for right, _ in tally.values()) == sum(there for _, there in tally.values()) == 30


def test_exact_matches_are_counted_by_the_length_of_the_source() -> None:
    source = torch.tensor([[5, 6, 7, EOS], [5, EOS, PAD, PAD], [8, 9, 5, EOS]])
    target = torch.tensor([[BOS, 7, 6, 5, EOS], [BOS, 5, EOS, PAD, PAD], [BOS, 5, 9, 8, EOS]])
    written = torch.tensor([[7, 6, 5, EOS], [5, EOS, PAD, PAD], [5, 9, 9, EOS]])
    data = SimpleNamespace(decode=lambda row: "".join(chr(97 + token) for token in row.tolist() if token > 3))
    batch = SequencePairBatch(source, target, torch.arange(3), 10)
    assert exact_tally(lambda source: written, data, [batch]) == {1: [1, 1], 3: [1, 2]}


def test_what_is_measured_follows_from_the_task() -> None:
    docs = PythonDocs(context=16, batch_size=64)
    recall = AssociativeRecall(train_size=4, val_size=0, test_size=6)
    strings = RandomStrings(train_size=4, val_size=0, test_size=6, max_length=6)
    found = {}
    for task, data in {"language": docs, "recall": recall, "reverse": strings}.items():
        data.setup("test")
        if task == "reverse":
            model: Any = Seq2Seq(data.vocab_size, lambda v: TransformerSeq2Seq(v, 8, 2, 1), beam=1, max_tokens=9)
        else:
            model = LanguageModel(data.vocab_size, data.context, lambda v, c: RecurrentLM(v, c, 8, 8, 1))  # type: ignore[attr-defined]
        found[task] = measured(task, model, data)
        assert found[task]["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert len(found["language"]["gradients"]) == 16
    assert sum(there for _, there in found["recall"]["tally"].values()) == 6 * 8
    assert sum(there for _, there in found["reverse"]["tally"].values()) == 6
    other = Seq2Seq(strings.vocab_size, lambda v: RecurrentSeq2Seq(v, 8, 8), beam=1, max_tokens=9)
    assert measured("translation", other, strings).keys() == {"parameters"}


def test_speed_is_tokens_by_the_seconds_of_a_usual_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.chain.from_iterable((0.0, second) for second in (9.0, 2.0, 1.0, 2.0))
    monkeypatch.setattr(speed.time, "process_time", lambda: next(seconds))
    network = {"class_path": "RecurrentLM", "init_args": {"dim": 4, "hidden": 4, "layers": 1}}
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.1}}
    model = {"init_args": {"network": network, "optimizer": optimizer}}
    assert speed.training_speed(model, 9, 512, repetitions=3) == 4096 / 2
