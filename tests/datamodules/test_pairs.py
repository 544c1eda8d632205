import hashlib
from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from seen_batches import Recorder

from datamodules import NumberWords, SequencePairBatch
from datamodules.pairs import TokenPairs
from datamodules.token_rows import TokenRows
from networks.tokens import BOS, EOS, PAD

ROWS = st.lists(st.lists(st.integers(4, 99), max_size=12), min_size=1, max_size=20)
SMALL: dict[str, Any] = {"highest": 2000, "train_size": 300, "val_size": 70, "test_size": 50}


@given(ROWS, st.data())
def test_rows_are_filled_up_to_the_longest_of_a_batch(rows: list[list[int]], data: st.DataObject) -> None:
    rows = [[*row, EOS] for row in rows]
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    taken = TokenRows(rows).take(torch.tensor(index))
    longest = max(len(rows[place]) for place in index)
    assert taken.tolist() == [rows[place] + [PAD] * (longest - len(rows[place])) for place in index]
    assert taken.dtype == torch.int64


@given(ROWS)
def test_pairs_have_their_beginnings_and_ends(rows: list[list[int]]) -> None:
    pairs = TokenPairs(rows, [row[:3] for row in rows])
    batch = pairs.__getitems__(range(len(rows)))
    for source, target, row in zip(batch.source.tolist(), batch.target.tolist(), rows, strict=True):
        assert source[: len(row) + 1] == [*row, EOS]
        assert target[: len(row[:3]) + 2] == [BOS, *row[:3], EOS]
        assert set(source[len(row) + 1 :] + target[len(row[:3]) + 2 :]) <= {PAD}
    assert batch.tokens == int((batch.target[:, 1:] != PAD).sum())
    assert pairs.length.tolist() == [max(len(row) + 1, len(row[:3]) + 2) for row in rows]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_has_every_pair_once_within_the_budget(num_workers: int) -> None:
    data = NumberWords(**SMALL, batch_tokens=600, batch_size=40, num_workers=num_workers)
    data.setup("fit")
    loader = data.train_dataloader()
    batches: list[SequencePairBatch] = list(loader)
    assert len(loader) == len(batches)
    assert sorted(chain.from_iterable(batch.index.tolist() for batch in batches)) == list(range(300))
    for batch in batches:
        assert len(batch.index) <= 40
        assert max(batch.source.numel(), batch.target.numel()) <= 600


def test_evaluation_goes_from_long_to_short_and_knows_the_order_of_the_part() -> None:
    data = NumberWords(**SMALL, eval_batch_size=16)
    sources, targets = data.read_pairs("val")
    seen, longest = {}, []
    for batch in data.val_dataloader():
        longest.append(batch.target.shape[1])
        for place, source, target in zip(batch.index.tolist(), batch.source, batch.target, strict=True):
            seen[place] = (data.decode(source), data.decode(target))
    assert [seen[place] for place in range(70)] == list(zip(sources, targets, strict=True))
    assert longest == sorted(longest, reverse=True)
    assert len(set(longest)) > 2


def test_prediction_goes_through_its_part_also_that_of_training() -> None:
    for part, size in (("train", 300), ("test", 50)):
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        trainer = Trainer(accelerator="cpu", **quiet)  # type: ignore[arg-type]
        batches = trainer.predict(Recorder(), NumberWords(**SMALL, predict_part=part))
        assert batches is not None
        assert sorted(chain.from_iterable(batch.index.tolist() for batch in batches)) == list(range(size))  # type: ignore[union-attr]


def test_fingerprint_is_of_the_training_part() -> None:
    one = NumberWords(**SMALL)
    assert one.fingerprint() == NumberWords(**SMALL, seed=4, batch_size=7).fingerprint()
    assert one.fingerprint() != NumberWords(**SMALL, split_seed=1).fingerprint()
    assert one.fingerprint() != NumberWords(**SMALL, direction="to_digits").fingerprint()
    assert len(one.fingerprint()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_tokens": 0}, "batch_tokens=0 is impossible: choose 1 or more"),
        ({"batch_tokens": 9}, r"batch_tokens=9 has no room for the longest training pair: choose \d\d or more"),
        ({"batch_size": 301, "drop_last": True}, "batch_size=301 with drop_last leaves no batch of 300 pairs: reduce"),
    ],
)
def test_impossible_budgets_are_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        NumberWords(**SMALL, **arguments).train_dataloader()


def test_other_budgets_in_the_middle_of_an_epoch_are_reported() -> None:
    data = NumberWords(**SMALL, batch_tokens=600, batch_size=40)
    place = {"epoch": 0, "batch": 2, "global_batch_size": 40, "global_batch_tokens": 900}
    data.load_state_dict(place)
    with pytest.warns(UserWarning, match="made with a batch_tokens of 900 .* goes on with 600: the rest"):
        data.train_dataloader()
    data.load_state_dict({**place, "global_batch_tokens": 600, "global_batch_size": 20})
    with pytest.warns(UserWarning, match="made with 20 pairs a step .* goes on with 40"):
        data.train_dataloader()
    data.load_state_dict({**place, "batch": 10_000, "global_batch_tokens": 600})
    assert list(data.train_dataloader()) == []
