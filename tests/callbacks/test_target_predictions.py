"""The predictions of every epoch, and what an oracle makes of them in a test."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapting import Blobs, SourceModel, trainer_in
from lightning.pytorch import LightningModule
from torch import Tensor

from callbacks import Checkpoint, Resumption, TargetPredictions
from callbacks.target_predictions import with_epoch

RIGHT = (10, 30, 20, 30, 5)  # of the 40 target examples, those that are right in each epoch


class Scripted(SourceModel):
    """Is right about the first so many of the target's examples, and the better by its monitor the fewer those are."""

    def __init__(self, right: tuple[int, ...] = RIGHT) -> None:
        super().__init__()
        self.right = right

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        outputs = super().validation_step(batch, batch_idx, dataloader_idx)
        right = self.right[min(self.current_epoch, len(self.right) - 1)]
        if dataloader_idx == 0:
            self.log("val/total", float(right), add_dataloader_idx=False)
        wrong = (batch.index >= right) if dataloader_idx else torch.ones_like(batch.index)
        return {**outputs, "predicted": (batch.index % 3 + wrong) % 3}


def fit(folder: Path, model: LightningModule, data: Any = None, ckpt: Path | None = None, **kwargs: Any) -> None:
    trainer = trainer_in(folder, Resumption(), TargetPredictions(), Checkpoint(), enable_checkpointing=True, **kwargs)
    trainer.fit(model, data or Blobs(), ckpt_path=ckpt, weights_only=True)


def oracle_scores(folder: Path, ckpt: str | None = None, data: Any = None) -> dict[str, float]:
    path = None if ckpt is None else folder / "checkpoints" / ckpt
    trainer = trainer_in(folder, TargetPredictions())
    results = trainer.test(Scripted(), data or Blobs(), ckpt_path=path, weights_only=True, verbose=False)
    return {name: value for part in results for name, value in part.items() if name.startswith("oracle/")}


def written(folder: Path) -> dict[str, Any]:
    with np.load(folder / "target_predictions.npz") as file:
        return dict(file)


def counts(folder: Path) -> list[int]:
    """How many predictions of each epoch are right."""
    arrays = written(folder)
    return (arrays["predicted"] == arrays["index"] % 3).sum(axis=1).tolist()


def test_every_epoch_is_kept_and_a_test_compares_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, Scripted(), max_epochs=4)
    arrays = written(tmp_path)
    assert arrays["epoch"].tolist() == [0, 1, 2, 3]
    assert arrays["index"].tolist() == list(range(40))
    assert arrays["predicted"].dtype == np.uint8
    assert counts(tmp_path) == list(RIGHT[:4])
    capsys.readouterr()
    scores = {"oracle/last_accuracy": 0.75, "oracle/best_accuracy": 0.75, "oracle/best_epoch": 1.0}
    assert oracle_scores(tmp_path, "best.ckpt") == {**scores, "oracle/selected_accuracy": 0.25}  # the least val/total
    line = "target validation accuracy by the oracle: selected 0.2500 (epoch 0), last 0.7500 (epoch 3), best 0.7500"
    assert f"{line} (epoch 1)\n" in capsys.readouterr().out
    assert oracle_scores(tmp_path, "previous.ckpt") == {**scores, "oracle/selected_accuracy": 0.5}  # of epoch 2
    assert oracle_scores(tmp_path) == scores  # weights of no epoch


def test_no_label_is_asked_for_before_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Blobs) -> Tensor:
        raise AssertionError("labels were asked for")

    monkeypatch.setattr(Blobs, "oracle_labels", fail)
    fit(tmp_path, Scripted(), max_epochs=1)
    trainer_in(tmp_path, TargetPredictions()).validate(Scripted(), Blobs(), verbose=False)
    with pytest.raises(AssertionError, match="labels were asked for"):
        oracle_scores(tmp_path)


def test_a_run_that_goes_on_from_an_earlier_epoch_has_the_file_of_an_unbroken_one(tmp_path: Path) -> None:
    for folder, epochs in (("unbroken", 5), ("broken", 2)):
        fit(tmp_path / folder, Scripted(), max_epochs=epochs)
    earlier = tmp_path / "broken" / "checkpoints" / "last.ckpt"
    kept = earlier.rename(tmp_path / "epoch1.ckpt")
    for right in ((0, 0, 40, 40), RIGHT):  # what was written behind the checkpoint is seen again
        fit(tmp_path / "broken", Scripted(right), ckpt=kept, max_epochs=4 if right != RIGHT else 5)
    unbroken, broken = (written(tmp_path / folder) for folder in ("unbroken", "broken"))
    assert counts(tmp_path / "unbroken") == list(RIGHT)
    assert all(np.array_equal(unbroken[key], broken[key]) for key in ("epoch", "index", "predicted"))
    fit(tmp_path / "broken", Scripted(), max_epochs=1)  # begins anew
    assert written(tmp_path / "broken")["epoch"].tolist() == [0]


def test_of_several_validations_in_an_epoch_the_last_counts(tmp_path: Path) -> None:
    class Hasty(Scripted):
        def on_validation_start(self) -> None:
            self.right = (7,) if self.global_step % 3 else (9,)

    fit(tmp_path, Hasty(), max_epochs=2, val_check_interval=1)
    assert written(tmp_path)["epoch"].tolist() == [0, 1]
    assert counts(tmp_path) == [9, 9]


def test_a_part_of_the_validation_images_is_compared_by_index(tmp_path: Path) -> None:
    class Backwards(Blobs):
        def val_dataloader(self) -> Any:
            source, _ = super().val_dataloader()
            return [source, self.loader(40, lambda rows: self.unlabelled(39 - rows))]

    fit(tmp_path, Scripted((30, 32)), Backwards(), max_epochs=2, limit_val_batches=1)
    assert written(tmp_path)["index"].tolist() == list(range(24, 40))
    assert oracle_scores(tmp_path, "last.ckpt")["oracle/last_accuracy"] == 0.5
    assert oracle_scores(tmp_path, "last.ckpt")["oracle/best_epoch"] == 1


def test_two_processes_write_the_same_file(tmp_path: Path) -> None:
    fit(tmp_path, Scripted(), max_epochs=2, devices=2, strategy="ddp_fork")
    assert written(tmp_path)["index"].tolist() == list(range(40))
    assert counts(tmp_path) == list(RIGHT[:2])


@pytest.mark.parametrize("kind", ["another model", "other data", "no file"])
def test_where_there_is_nothing_to_compare_it_is_silent(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != "no file":
        fit(tmp_path, Scripted(), max_epochs=1)
    if kind == "another model":
        monkeypatch.delattr(SourceModel, "domains")
    capsys.readouterr()
    data = Blobs().test_dataloader() if kind == "other data" else None
    assert oracle_scores(tmp_path, data=data) == {}
    assert "oracle" not in capsys.readouterr().out
    if kind == "another model":
        (tmp_path / "target_predictions.npz").unlink()
        fit(tmp_path, Scripted(), max_epochs=1)
    assert (tmp_path / "target_predictions.npz").exists() == (kind == "other data")


def test_only_examples_that_every_epoch_saw_are_kept() -> None:
    kept: dict[str, Any] = {}
    for epoch, index in enumerate(([0, 2, 4, 6], [2, 3, 4])):
        kept = with_epoch(kept, epoch, {"index": np.array(index), "predicted": np.array(index) + 300 * epoch})
    assert kept["index"].tolist() == [2, 4]
    assert kept["predicted"].tolist() == [[2, 4], [302, 304]]
    assert kept["predicted"].dtype == np.int16
