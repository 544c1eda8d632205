"""A run whose loss or weights stop being numbers ends with the batch at hand and its checkpoint untouched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from processes import in_two_processes
from torch import Tensor
from torch.utils.data import DataLoader

from callbacks import Checkpoint, DivergedError, DivergenceGuard

NAN, INF = float("nan"), float("inf")


class Scripted(LightningModule):
    """Its loss is the mean of the batch times its weight; a gradient can be spoilt behind a finite loss."""

    def __init__(self, spoilt_at: int = -1, returns: Callable[[Tensor], Any] = lambda loss: loss) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.spoilt_at = spoilt_at
        self.returns = returns
        self.seen = 0

    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        self.seen += 1
        return self.returns(batch.mean() * self.weight)

    def on_after_backward(self) -> None:
        if self.seen - 1 == self.spoilt_at:
            self.weight.grad = torch.tensor(NAN)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(folder: Path, values: list[float], model: Scripted | None = None, **settings: Any) -> None:
    trainer = Trainer(
        default_root_dir=folder,
        **{"max_epochs": 2, "accelerator": "cpu", "devices": 1} | settings,
        callbacks=[DivergenceGuard(), Checkpoint()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model or Scripted(), DataLoader(torch.tensor(values).view(-1, 1), generator=torch.Generator()))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_it_stops_at_the_batch_and_keeps_it(tmp_path: Path, value: float) -> None:
    model = Scripted()
    with pytest.raises(DivergedError, match=rf"the loss is {value} at batch 2 of epoch 0") as error:
        fit(tmp_path, [1.0, 2.0, value, 4.0], model)
    assert model.seen == 3
    assert "1 values of batch are not finite: mend the data" in str(error.value)
    assert "there is no checkpoint yet" in str(error.value)
    assert "\n" not in str(error.value)
    saved = torch.load(tmp_path / "diverged.pt", weights_only=True)
    torch.testing.assert_close(saved, {"batch": torch.tensor([[value]])}, equal_nan=True)


def test_a_loss_that_grew_names_the_mend_and_the_checkpoint(tmp_path: Path) -> None:
    class Growing(Scripted):
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            return super().training_step(batch, batch_idx) * (INF if self.current_epoch == 1 else 1.0)

    with pytest.raises(DivergedError, match="lower the learning rate") as error:
        fit(tmp_path, [1.0, 2.0], Growing())
    assert f"the last good checkpoint is {tmp_path / 'checkpoints/last.ckpt'}" in str(error.value)
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["epoch"] == 0


def test_no_checkpoint_is_made_of_weights_that_a_finite_loss_spoilt(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="the weights are no longer finite after batch 1 of epoch 0"):
        fit(tmp_path, [1.0, 2.0], Scripted(spoilt_at=1))
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


@pytest.mark.parametrize(
    "returns",
    [lambda loss: {"loss": loss}, lambda loss: {"loss": loss * 0 + 1.0, "other": loss.detach()}],
    ids=["a dictionary", "another loss in it"],
)
def test_every_loss_of_a_step_counts(tmp_path: Path, returns: Callable[[Tensor], Any]) -> None:
    with pytest.raises(DivergedError, match="batch 1"):
        fit(tmp_path, [1.0, INF], Scripted(returns=returns))


def test_a_finite_run_is_left_alone(tmp_path: Path) -> None:
    fit(tmp_path, [1.0, -2.0, 1e30])
    assert not (tmp_path / "diverged.pt").exists()


def diverge_in_one(rank: int, folder: Path) -> None:
    # each of the two processes sees every second value: only the second one meets the NaN, in its batch 1
    data = [1.0, 2.0, 3.0, NAN, 5.0, 6.0, 7.0, 8.0]
    with pytest.raises(DivergedError) as error:
        fit(folder, data, devices=2, strategy="ddp")
    (folder / f"error{rank}").write_text(str(error.value))


def test_all_processes_stop_together(tmp_path: Path) -> None:
    in_two_processes(diverge_in_one, tmp_path)
    for rank in range(2):
        said = (tmp_path / f"error{rank}").read_text()
        assert "the loss is nan at batch 1 of epoch 0, where 1 values of batch are not finite" in said
    assert torch.load(tmp_path / "diverged.pt", weights_only=True)["batch"].isnan().all()


def test_a_batch_of_two_domains_is_kept_whole(tmp_path: Path) -> None:
    class Adapting(Scripted):
        def training_step(self, batch: dict[str, Any], batch_idx: int) -> Any:
            return super().training_step(batch["target"]["x"], batch_idx)

    examples = [{domain: {"x": torch.tensor([value])} for domain, value in (("source", 1.0), ("target", NAN))}]
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        devices=1,
        callbacks=[DivergenceGuard()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with pytest.raises(DivergedError, match=r"where 1 values of target\.x are not finite"):
        trainer.fit(Adapting(), DataLoader(examples))  # type: ignore[arg-type]
    saved = torch.load(tmp_path / "diverged.pt", weights_only=True)
    assert saved["source.x"].item() == 1
    assert saved["target.x"].isnan().all()
