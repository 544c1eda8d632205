import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from phases import fit_in_phases
from torch import Tensor
from torch.utils.data import DataLoader

from callbacks.checkpoint import Checkpoint
from callbacks.epoch_lines import EpochLines


class Constant(LightningModule):
    """Logs numbers that a test can foresee."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.log("train/total", 90.0 + self.global_step)
        self.log("train/kl", 5.0)
        return self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/total", 97.125)
        self.log("val/accuracy", 0.5)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


class TwoOptimizers(Constant):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        for optimizer in self.optimizers():
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), 0.0) for _ in range(2)], []


def lines_of(
    capsys: pytest.CaptureFixture[str], callback: EpochLines, model: LightningModule | None = None, **kwargs: Any
) -> list[str]:
    data: DataLoader[Tensor] = DataLoader(torch.zeros(4, 1), batch_size=1)  # type: ignore[arg-type]
    settings: dict[str, Any] = {
        "logger": False,
        "callbacks": [callback],
        "accelerator": "cpu",
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 1,
        **kwargs,
    }
    Trainer(**settings).fit(model or Constant(), data, data)
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]


def test_a_line_says_where_training_stands(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = lines_of(capsys, EpochLines(["val/accuracy"]), max_epochs=2)
    pattern = r"epoch 1/2  step 4  train/total 93  val/total 97\.12  val/accuracy 0\.5  \d+\.\d s"
    assert re.fullmatch(pattern, first)
    assert second.startswith("epoch 2/2  step 8  train/total 97  ")


@pytest.mark.parametrize("epochs", [1, 29, 30, 31, 100])
def test_a_long_fit_prints_few_lines_and_its_last(epochs: int, capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, EpochLines(), max_epochs=epochs, limit_train_batches=1)
    assert len(lines) == min(epochs, 30)
    assert lines[-1].startswith(f"epoch {epochs}/{epochs} ")


def test_the_last_line_is_printed_when_training_stops_early(capsys: pytest.CaptureFixture[str]) -> None:
    class Stopping(Constant):
        def on_validation_epoch_end(self) -> None:
            self.trainer.should_stop = self.current_epoch == 12

    lines = lines_of(capsys, EpochLines(), Stopping(), max_epochs=300, limit_train_batches=1)
    assert [line.split()[1] for line in lines] == ["10/300", "13/300"]


def test_a_fit_that_is_counted_in_steps(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, EpochLines(), max_epochs=-1, max_steps=10, val_check_interval=2)
    assert [" ".join(line.split()[:4]) for line in lines] == [
        "epoch 1 step 2",
        "epoch 1 step 4",
        "epoch 2 step 6",
        "epoch 2 step 8",
        "epoch 3 step 10",
    ]


def test_without_validation_a_line_for_each_training_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, EpochLines(), max_epochs=2, limit_val_batches=0)
    assert [line.rsplit("  ", 1)[0] for line in lines] == [
        "epoch 1/2  step 4  train/total 93",
        "epoch 2/2  step 8  train/total 97",
    ]


def test_steps_are_batches_whatever_the_number_of_optimizers(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, EpochLines(), TwoOptimizers(), max_epochs=2)
    assert [line.split()[3] for line in lines] == ["4", "8"]


def test_a_metric_that_never_comes_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="'val/acuracy', which this run never logged"):
        lines_of(capsys, EpochLines(["val/acuracy"]), max_epochs=1)


def test_an_empty_validation_part_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    data: DataLoader[Tensor] = DataLoader(torch.zeros(4, 1), batch_size=1)  # type: ignore[arg-type]
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    Trainer(**quiet, callbacks=[EpochLines()], accelerator="cpu", max_epochs=2).fit(Constant(), data, [])
    assert capsys.readouterr().out.count("epoch") == 2


def test_a_phase_of_pretraining_has_its_name_and_no_number_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit_in_phases(tmp_path, [EpochLines()], epochs=5)
    lines = [line.rsplit("  ", 1)[0] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    readout = "pretrain/readout/total 3  pretrain/readout/accuracy 0.5"
    validated = "pretrain/readout/val_total 3.5  pretrain/readout/val_accuracy 0.25"
    assert lines == [
        "epoch 1/5  layer1  step 2  pretrain/layer1/loss 1  pretrain/layer1/val_reconstruction 11",
        "epoch 2/5  layer2  step 4  pretrain/layer2/loss 2  pretrain/layer2/val_reconstruction 21",
        f"epoch 3/5  readout  step 6  {readout}  {validated}",
        "epoch 4/5  step 8  train/total 4  val/total 4.5",
        "epoch 5/5  step 10  train/total 5  val/total 5.5",
    ]


def test_metrics_that_are_asked_for_or_watched_appear_in_their_own_phase(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = EpochLines(["pretrain/layer1/free_energy_gap", "val/accuracy"])
    fit_in_phases(tmp_path, [lines, Checkpoint("pretrain/layer2/reconstruction")], epochs=4)
    layer1, layer2, readout, whole = capsys.readouterr().out.splitlines()[-4:]
    assert "pretrain/layer1/free_energy_gap -1" in layer1
    assert "pretrain/layer2/reconstruction 20" in layer2
    assert "layer1" not in layer2 + readout + whole
    assert "layer2" not in layer1 + readout + whole
    assert "val/accuracy 0.625" in whole


def test_without_validation_a_phase_has_its_lines_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit_in_phases(tmp_path, [EpochLines()], epochs=2, limit_val_batches=0)
    lines = [line.rsplit("  ", 1)[0] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert lines == [
        "epoch 1/2  layer1  step 2  pretrain/layer1/loss 1",
        "epoch 2/2  layer2  step 4  pretrain/layer2/loss 2",
    ]
