from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules import AssociativeRecall, recall_distance
from networks.tokens import PAD

SIZES: dict[str, int] = {"train_size": 500, "val_size": 40, "test_size": 30}


@pytest.mark.parametrize("length", [None, 20, 37])
def test_every_key_is_asked_for_the_value_it_came_with(length: int | None) -> None:
    data = AssociativeRecall(pairs=5, keys=7, values=9, length=length, **SIZES)
    assert data.context == (length or 20)
    batch = data.dataset("train").__getitems__(range(500))
    assert batch.token.shape == batch.target.shape == (500, data.context)
    for row, target in zip(batch.token[:50], batch.target[:50], strict=True):
        words = data.decode(row).split()
        pairs = dict(zip(words[0:10:2], words[1:10:2], strict=True))
        assert len(pairs) == 5
        assert all(key[0] == "k" and value[0] == "v" for key, value in pairs.items())
        assert words[10:-10] == ["."] * (data.context - 20)
        questions = words[-10::2]
        assert sorted(questions) == sorted(pairs)
        assert words[-9::2] == [pairs[key] for key in questions]
        asked = (target != PAD).nonzero().flatten().tolist()
        assert [words[place] for place in asked] == questions
        assert data.decode(target[asked]).split() == words[-9::2]
    assert batch.tokens == 2500
    assert batch.characters.tolist() == [5] * 500
    assert batch.index.tolist() == list(range(500))


def test_order_of_the_questions_and_values_are_drawn() -> None:
    data = AssociativeRecall(pairs=3, keys=3, values=2, **SIZES)
    token = data.dataset("train").__getitems__(range(500)).token
    assert len(token[:, 0:6:2].unique(dim=0)) == len(token[:, 6::2].unique(dim=0)) == 6
    assert len(token[:, 1:6:2].unique(dim=0)) == 8
    same = (token[:, 0:6:2] == token[:, 6::2]).all(dim=1).float().mean()
    assert 0.08 < float(same) < 0.26  # a sixth


def test_distance_is_that_to_the_same_key() -> None:
    token = torch.tensor([[5, 20, 6, 21, 4, 6, 21, 5, 20], [6, 21, 5, 21, 4, 6, 21, 5, 21]])
    target = torch.tensor([[0, 0, 0, 0, 0, 21, 0, 20, 0], [0, 0, 0, 0, 0, 21, 0, 21, 0]])
    expected = [[0, 0, 0, 0, 0, 3, 0, 7, 0], [0, 0, 0, 0, 0, 5, 0, 5, 0]]
    assert recall_distance(token, target).tolist() == expected


def test_distances_of_drawn_sequences_add_up() -> None:
    data = AssociativeRecall(pairs=4, keys=4, length=30, **SIZES)
    batch = data.dataset("val").__getitems__(range(40))
    distance = recall_distance(batch.token, batch.target)
    assert ((distance > 0) == (batch.target != PAD)).all()
    assert (distance.sum(dim=1) == sum(range(22, 30, 2)) - sum(range(0, 8, 2))).all()


def test_parts_are_independent_and_the_same_every_time(tmp_path: Path) -> None:
    one = AssociativeRecall(**SIZES)
    parts = [one.dataset(part).token for part in ("train", "val", "test")]  # type: ignore[arg-type]
    assert [len(part) for part in parts] == [500, 40, 30]
    assert len(torch.cat(parts).unique(dim=0)) == 570
    assert one.fingerprint() == AssociativeRecall(**SIZES, seed=5).fingerprint()
    assert one.fingerprint() != AssociativeRecall(**SIZES, split_seed=5).fingerprint()
    path = tmp_path / "tokenizer.json"
    path.write_text(one.tokenizer_json(), encoding="utf-8")
    assert AssociativeRecall(**SIZES, tokenizer=str(path)).fingerprint() == one.fingerprint()
    with pytest.raises(ValueError, match="has not the tokens of AssociativeRecall: leave it out"):
        AssociativeRecall(**SIZES, keys=20, tokenizer=str(path))


def test_words_are_the_vocabulary() -> None:
    data = AssociativeRecall(keys=8, values=3, **SIZES)
    assert data.vocab_size == 4 + 1 + 8 + 3
    assert data.encode("k0 v2 . k7") == [5, 15, 4, 12]
    assert data.token_names(data.encode("k0 v2 .")) == ["k0", "v2", "."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": 0}, "pairs=0 is impossible: choose 1 or more"),
        ({"values": 0}, "values=0 is impossible: choose 1 or more"),
        ({"pairs": 17}, "pairs=17 is more than the 16 keys: "),
        ({"length": 31}, "length=31 has no room for 8 pairs and as many questions: choose 32"),
        ({"test_size": 0}, "test_size=0 is impossible: choose 1 or more"),
    ],
)
def test_impossible_arguments_are_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        AssociativeRecall(**arguments)
