import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn import trainer_in
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

import cli
from callbacks import LayerGradients, MetricsFile

pytestmark = pytest.mark.usefixtures("no_drawing")

X = torch.tensor([[1.0, 2.0]])
GRADIENTS = {
    # y = a (w . x) + c with w = (3, 4), a = 0.5, and the loss y: dw = a x = (0.5, 1), da = w . x = 11
    "gradient/layer1": (1.25 / 2) ** 0.5,
    "gradient/head": 11.0,
}


class Linear(LightningModule):
    """Two linear layers of one unit, whose output is the loss."""

    phase = None

    def __init__(self, pretrained_batches: int = 0) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(2, 1), nn.Linear(1, 1)
        self.first.weight.data, self.head.weight.data = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.5]])
        self.first.bias.data.zero_()
        self.pretrained_batches = pretrained_batches

    @property
    def pretrains(self) -> bool:
        return self.global_step < self.pretrained_batches

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.head(self.first(batch)).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


class Layered(Linear):
    """The same, with names for them."""

    @property
    def hidden_layers(self) -> dict[str, nn.Module]:
        return {"layer1": nn.Sequential(self.first, nn.Identity()), "head": self.head}


def logged(model: Linear, folder: Path, batches: int = 4, **settings: Any) -> dict[int, dict[str, float]]:
    """Step to what was logged there."""
    data: DataLoader[Any] = DataLoader(X.expand(batches, 2), batch_size=1)  # type: ignore[arg-type]
    settings = {"max_epochs": 1, "log_every_n_steps": 1, "logger": MetricsFile(folder)} | settings
    trainer_in(folder, None, callbacks=[LayerGradients()], **settings).fit(model, data)
    if not (folder / "metrics.csv").exists():
        return {}
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        int(row["step"]): {name: float(cell) for name, cell in row.items() if name.startswith("gradient/") and cell}
        for row in rows
    }


def test_the_root_mean_square_of_each_layers_weights(tmp_path: Path) -> None:
    rows = logged(Layered(), tmp_path)
    assert list(rows) == [0, 1, 2, 3]
    for row in rows.values():
        assert row == pytest.approx(GRADIENTS)


def test_it_is_that_before_clipping(tmp_path: Path) -> None:
    model = Layered()
    assert logged(model, tmp_path, gradient_clip_val=0.01)[0] == pytest.approx(GRADIENTS)
    assert model.head.weight.grad is not None
    assert model.head.weight.grad.abs().max() <= 0.01


def test_it_is_that_of_all_accumulated_batches(tmp_path: Path) -> None:
    class Growing(Layered):
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            return super().training_step(batch, batch_idx) * (1 + 2 * batch_idx)

    (row,) = logged(Growing(), tmp_path, batches=2, accumulate_grad_batches=2).values()
    assert row == pytest.approx({name: 2 * size for name, size in GRADIENTS.items()})  # mean of 1 and 3 times


def test_only_batches_that_the_loggers_write(tmp_path: Path) -> None:
    calls = []

    class Counting(Layered):
        @property
        def hidden_layers(self) -> dict[str, nn.Module]:
            calls.append(self.global_step)
            return super().hidden_layers

    assert list(logged(Counting(), tmp_path, batches=6, log_every_n_steps=3)) == [2, 5]
    assert set(calls) - {0} == {2, 5}  # 0: before the training


def test_only_the_training_of_the_whole(tmp_path: Path) -> None:
    assert list(logged(Layered(pretrained_batches=3), tmp_path, batches=5)) == [3, 4]


def test_a_layer_that_is_not_trained_is_left_out(tmp_path: Path) -> None:
    model = Layered()
    model.first.requires_grad_(False)
    assert logged(model, tmp_path)[0] == pytest.approx({"gradient/head": 11.0})


def test_a_model_without_named_layers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^trainer\.callbacks is LayerGradients: Linear .* leave it out$"):
        logged(Linear(), tmp_path)


def test_the_command_names_the_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config=configs/autoencoder/digits.yaml", f"--run.dir={tmp_path}"]
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fit", *words, "--trainer.callbacks+=LayerGradients"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "Autoencoder does not name its layers" in line
