"""Nothing before `test` depends on a label of the target, however a run might come by it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

import cli
from benchmarks.kill_resume import Run, differences
from datamodules import BlendedDigits
from datamodules.batch import UnlabelledImageBatch
from datamodules.datasets import LabelledImages

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.usefixtures("no_drawing")
SHORT = ["--trainer.max_epochs=2", "--trainer.limit_train_batches=3", "--trainer.check_val_every_n_epoch=1"]


def fit(technique: str, folder: Path) -> Run:
    run = Run(folder, (f"--config={ROOT / 'configs' / technique / 'digits.yaml'}", "--trainer.accelerator=cpu", *SHORT))
    cli.main(["fit", *run.words, *place(folder)])
    return run


def place(folder: Path) -> tuple[str, ...]:
    return (f"--run.dir={folder}", "--run.experiment=run", "--run.id=run")


def told(folder: Path, file: str) -> Any:
    return json.loads((folder / "run" / "run" / file).read_text())


def mislabelled(self: BlendedDigits, train: bool) -> tuple[Tensor, Tensor]:
    """The target with the classes of other images."""
    image, label = READ(self, train)
    return image, label.roll(7)


READ = BlendedDigits.read


@pytest.mark.parametrize("technique", ["dann", "mcd", "drcn"])  # a loss, several, a reconstruction
def test_other_labels_of_the_target_change_nothing_before_test(
    technique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fit(technique, tmp_path / "one")
    monkeypatch.setattr(BlendedDigits, "read", mislabelled)
    other = fit(technique, tmp_path / "other")
    assert differences(one, other) == []
    predicted, hashes = [], []
    for folder in (one.folder, other.folder):
        with np.load(folder / "run" / "run" / "target_predictions.npz") as file:
            predicted.append(file["predicted"].tolist())
        hashes.append(told(folder, "provenance.json")[0]["data_sha256"])
    assert predicted[0] == predicted[1]
    assert hashes[0] == hashes[1]


def test_only_test_sees_other_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit("dann", tmp_path)
    cli.main(["test", *place(tmp_path)])
    honest = told(tmp_path, "test.json")
    monkeypatch.setattr(BlendedDigits, "read", mislabelled)
    cli.main(["test", *place(tmp_path)])
    other = told(tmp_path, "test.json")
    assert other["test/target_accuracy"] != honest["test/target_accuracy"]
    assert other["oracle/best_accuracy"] != honest["oracle/best_accuracy"]
    assert other["test/source_accuracy"] == honest["test/source_accuracy"]


def test_no_batch_of_the_target_is_made_with_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    give = LabelledImages.__getitems__

    def note(self: LabelledImages, indices: Any) -> Any:
        batch = give(self, indices)
        made.append(batch.image.shape[1])
        return batch

    monkeypatch.setattr(LabelledImages, "__getitems__", note)
    fit("dann", tmp_path)
    cli.main(["validate", *place(tmp_path)])
    assert made
    assert set(made) == {1}  # channels: of the source, which is grey
    cli.main(["test", *place(tmp_path)])
    assert set(made) == {1, 3}  # it would have been seen
    assert "label" not in UnlabelledImageBatch._fields
