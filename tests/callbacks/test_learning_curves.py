from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from phases import fit_in_phases
from torch import Tensor
from torch.utils.data import DataLoader

from callbacks.learning_curves import LearningCurves, read_curves
from callbacks.metrics_file import MetricsFile


class Regression(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = (self.weight * batch).square().mean()
        self.log_dict({"train/total": loss, "train/penalty": self.weight.abs().sum()})
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/total", (self.weight * batch).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder: Path, logger: CSVLogger | bool) -> LearningCurves:
    curves = LearningCurves()
    data: DataLoader[Tensor] = DataLoader(torch.randn(12, 1), batch_size=2)  # type: ignore[arg-type]
    Trainer(
        max_epochs=2,
        logger=logger,
        callbacks=[curves],
        default_root_dir=folder,
        accelerator="cpu",
        log_every_n_steps=2,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Regression(), data, data)
    return curves


def test_draws_the_curves_of_the_run_when_it_ends(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="", flush_logs_every_n_steps=10**6)
    curves = fit(tmp_path, logger)
    assert curves.paths == [tmp_path / "media" / "learning_curves.png"]
    assert curves.paths[0].read_bytes().startswith(b"\x89PNG")
    read = read_curves(tmp_path / "metrics.csv")
    assert list(read) == ["total", "penalty"]
    assert list(read["total"]["train"][0]) == [1, 3, 5, 7, 9, 11]
    assert list(read["total"]["val"][0]) == [5, 11]


def test_without_metrics_there_is_no_picture(tmp_path: Path) -> None:
    assert fit(tmp_path, logger=False).paths == []
    assert not (tmp_path / "media").exists()


def test_metrics_are_grouped_by_term_with_the_total_first(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(
        "step,epoch,lr,train/kl,train/total,val/total,val/source/accuracy,test/total,val/never\n"
        "4,0,0.1,1.5,10,,,,\n"
        "9,0,,,,11,0.5,,\n"
        "14,1,0.1,nan,8,,,,\n"
        ",1,,,,,,3,\n"
    )
    curves = read_curves(file)
    assert list(curves) == ["total", "kl", "source/accuracy"]
    assert curves["total"] == {"train": ([4, 14], [10.0, 8.0]), "val": ([9], [11.0])}
    assert curves["source/accuracy"] == {"val": ([9], [0.5])}


def test_rows_of_a_continued_run_replace_those_before(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("step,epoch,train/total\n10,0,3.0\n20,0,2.0\n10,0,2.5\n15,0,2.25\n")
    assert read_curves(file) == {"total": {"train": ([10, 15, 20], [2.5, 2.25, 2.0])}}


def test_each_term_of_a_phase_has_a_panel_behind_those_of_the_whole(tmp_path: Path) -> None:
    fit_in_phases(tmp_path, [LearningCurves()], epochs=4, logger=MetricsFile(tmp_path))
    curves = read_curves(tmp_path / "metrics.csv")
    assert list(curves) == [
        "total",
        "accuracy",
        "layer1 loss",
        "layer1 reconstruction",
        "layer1 free_energy_gap",
        "layer2 loss",
        "layer2 reconstruction",
        "layer2 free_energy_gap",
        "readout accuracy",
        "readout total",
    ]
    assert curves["layer2 reconstruction"] == {"train": ([2, 3], [20.0, 20.0]), "val": ([3], [21.0])}
    assert curves["layer1 free_energy_gap"] == {"train": ([1], [-1.0])}
    assert curves["readout total"] == {"train": ([4, 5], [3.0, 3.0]), "val": ([5], [3.5])}
    assert curves["total"]["val"] == ([7], [4.5])


def test_phases_are_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    columns = "pretrain/layer10/loss,pretrain/layer2/loss,pretrain/layer2/val_loss,pretrain/layer3/loss,pretrain/odd"
    file.write_text(f"step,epoch,{columns}\n4,0,,3.0,,,1\n5,0,,,2.5,,1\n9,1,1.0,,,,1\n")
    assert read_curves(file) == {
        "layer2 loss": {"train": ([4], [3.0]), "val": ([5], [2.5])},
        "layer10 loss": {"train": ([9], [1.0])},
    }
    assert list(read_curves(file)) == ["layer2 loss", "layer10 loss"]
