"""Which checkpoints exist after a run, and that a reader never meets half of one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from callbacks import Checkpoint, EarlyStopping, RNGState, newest_whole


class Falling(LightningModule):
    """Logs a scripted validation metric, one value an epoch."""

    def __init__(self, script: list[float]) -> None:
        super().__init__()
        self.script = script
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.draws: list[float] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.draws.append(torch.rand(1).item())
        return (self.weight - 1).square().sum()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/total", self.script[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder: Path, *callbacks: object, **settings: object) -> Trainer:
    return Trainer(
        default_root_dir=folder,
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        devices=1,
        num_sanity_val_steps=0,
        **settings,
    )


def loader(batches: int = 4) -> DataLoader[torch.Tensor]:
    return DataLoader(torch.zeros(batches, 1), generator=torch.Generator())


def epoch_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["epoch"]


@pytest.mark.parametrize(("mode", "best_epoch"), [("min", 2), ("max", 1)])
def test_best_last_and_previous(tmp_path: Path, mode: str, best_epoch: int) -> None:
    fit = trainer(tmp_path, Checkpoint(mode=mode), max_epochs=4)
    fit.fit(Falling([5.0, 7.0, 1.0, 3.0]), loader(), loader(1))
    saved = {path.name: epoch_of(path) for path in (tmp_path / "checkpoints").iterdir()}
    assert saved == {"best.ckpt": best_epoch, "last.ckpt": 3, "previous.ckpt": 2}


def test_best_survives_a_resume(tmp_path: Path) -> None:
    script = [5.0, 1.0, 3.0, 2.0]
    trainer(tmp_path, Checkpoint(), max_epochs=2).fit(Falling(script), loader(), loader(1))
    again = trainer(tmp_path, Checkpoint(), max_epochs=4)
    again.fit(Falling(script), loader(), loader(1), ckpt_path=tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert epoch_of(tmp_path / "checkpoints/best.ckpt") == 1
    assert epoch_of(tmp_path / "checkpoints/last.ckpt") == 3


def test_nan_is_never_best(tmp_path: Path) -> None:
    trainer(tmp_path, Checkpoint(), max_epochs=2).fit(Falling([4.0, float("nan")]), loader(), loader(1))
    assert epoch_of(tmp_path / "checkpoints/best.ckpt") == 0


def test_mid_epoch_checkpoints_leave_the_last_batch_to_the_epoch(tmp_path: Path) -> None:
    saved: list[tuple[int, int]] = []

    class Spy(Checkpoint):
        def save(self, trainer: Trainer) -> Path:
            saved.append((trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.completed))
            return super().save(trainer)

    trainer(tmp_path, Spy(every_n_batches=2), max_epochs=2).fit(Falling([1.0, 1.0]), loader(4), loader(1))
    assert saved == [(0, 2), (0, 4), (1, 2), (1, 4)]


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(tmp_path, Checkpoint(), max_epochs=1).fit(Falling([1.0]), loader(), loader(1))
    whole = (tmp_path / "checkpoints/last.ckpt").read_bytes()

    def half_written(self: Trainer, path: Path, **_: object) -> None:
        path.write_bytes(whole[:100])
        raise OSError("disk full")

    monkeypatch.setattr(Trainer, "save_checkpoint", half_written)
    with pytest.raises(OSError, match="disk full"):
        trainer(tmp_path, Checkpoint(), max_epochs=1).fit(Falling([1.0]), loader(), loader(1))
    assert (tmp_path / "checkpoints/last.ckpt").read_bytes() == whole


def test_random_numbers_continue_after_a_resume(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = Falling([1.0] * 3)
    trainer(tmp_path / "whole", Checkpoint(), RNGState(), max_epochs=3).fit(whole, loader(), loader(1))
    torch.manual_seed(0)
    first = Falling([1.0] * 3)
    trainer(tmp_path / "parts", Checkpoint(), RNGState(), max_epochs=1).fit(first, loader(), loader(1))
    torch.manual_seed(123)
    rest = Falling([1.0] * 3)
    again = trainer(tmp_path / "parts", Checkpoint(), RNGState(), max_epochs=3)
    again.fit(rest, loader(), loader(1), ckpt_path=tmp_path / "parts/checkpoints/last.ckpt", weights_only=True)
    assert first.draws + rest.draws == whole.draws


@pytest.mark.parametrize(("patience", "epochs"), [(None, 6), (2, 3)])
def test_early_stopping_is_off_until_it_has_a_patience(tmp_path: Path, patience: int | None, epochs: int) -> None:
    fit = trainer(tmp_path, EarlyStopping(patience=patience), max_epochs=6, enable_checkpointing=False)
    fit.fit(Falling([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), loader(), loader(1))
    assert fit.current_epoch == epochs


@pytest.mark.parametrize("make", [Checkpoint, EarlyStopping])
def test_nothing_is_selected_on_test_data(make: type) -> None:
    with pytest.raises(ValueError, match="test/nll"):
        make(monitor="test/nll")


def test_a_last_checkpoint_exists_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(tmp_path, Checkpoint(), max_epochs=1).fit(Falling([1.0]), loader(), loader(1))
    seen: list[int] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(epoch_of(tmp_path / "checkpoints/last.ckpt"))
        done = replace(self, target)
        seen.append(epoch_of(tmp_path / "checkpoints/last.ckpt"))
        return done

    monkeypatch.setattr(Path, "replace", watched)
    again = trainer(tmp_path, Checkpoint(), max_epochs=2)
    again.fit(Falling([1.0, 2.0]), loader(), loader(1), ckpt_path=tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert seen == [0, 0, 0, 1]


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 1000])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    folder = tmp_path / "checkpoints"
    assert newest_whole(folder) is None
    trainer(tmp_path, Checkpoint(), max_epochs=2).fit(Falling([1.0, 1.0]), loader(), loader(1))
    assert newest_whole(folder) == folder / "last.ckpt"
    (folder / "last.ckpt").write_bytes(damage((folder / "last.ckpt").read_bytes()))
    assert newest_whole(folder) == folder / "previous.ckpt"
    assert "last.ckpt is damaged" in capsys.readouterr().out
    (folder / "previous.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read"):
        newest_whole(folder)
