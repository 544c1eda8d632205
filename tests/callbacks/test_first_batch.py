"""The tensors of a batch, and those that are not finite."""

from pathlib import Path

import pytest
import torch
from adapting import Blobs, SourceModel, trainer_in

from callbacks import FirstBatch, Preflight
from callbacks.first_batch import fields


def test_a_batch_of_batches_names_both() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    pair = Blobs().labelled(torch.zeros(45, 2), torch.arange(2))
    assert list(fields({"source": pair, "rest": [one, (two, "text")]})) == [
        "source.point",
        "source.label",
        "source.index",
        "rest.0",
        "rest.1.0",
    ]
    assert fields([one, two]) == {"0": one, "1": two}
    assert fields(one) == {"batch": one}
    assert fields("text") == {}


def test_what_is_not_finite_in_the_second_domain_is_named(tmp_path: Path) -> None:
    data = Blobs()
    data.target[3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"1 of 32 values of 'target.point' in the first training batch"):
        trainer_in(tmp_path, FirstBatch()).fit(SourceModel(), data)


def test_every_loader_has_a_first_batch(tmp_path: Path) -> None:
    data = Blobs()
    data.target[3, 1] = torch.inf
    with pytest.raises(ValueError, match="values of 'point' in the first validation batch"):
        trainer_in(tmp_path, FirstBatch()).validate(SourceModel(), data)


def test_the_check_shows_the_batches_of_both_domains_and_of_every_loader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = {"limit_train_batches": 1.0, "limit_val_batches": 2, "limit_test_batches": 1.0}
    preflight = Preflight({**limits, "check_val_every_n_epoch": 1}, {})
    arguments = preflight.trainer_arguments([])
    folder = arguments.pop("default_root_dir")
    trainer = trainer_in(folder, *arguments.pop("callbacks"), **arguments)
    preflight.run(trainer, SourceModel(), Blobs())
    assert preflight.problems == []
    out = capsys.readouterr().out
    rows = dict(line.split("   ", 1) for line in out.splitlines() if "   " in line)
    rows = {name: value.strip() for name, value in rows.items()}
    assert rows["batch train"].startswith("source.point float32 (16, 2)  source.label int64 (16,)")
    assert rows["batch train"].endswith("target.point float32 (16, 2)  target.index int64 (16,)")
    assert rows["batch validation"] == "point float32 (16, 2)  label int64 (16,)  index int64 (16,)"
    assert rows["batch validation 2"] == "point float32 (16, 2)  index int64 (16,)"
    assert rows["batch test 2"] == rows["batch test"] == rows["batch validation"]
    assert "for 4 of validation" in rows["time of an epoch"]  # two of each loader
