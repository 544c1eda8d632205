"""Metrics that are watched, and settings of theirs that have no effect."""

from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from callbacks import EarlyStopping

VAE = ["--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml", "--trainer.max_epochs=1"]


@pytest.mark.parametrize("command", ["fit", "check"])
def test_without_validation_there_is_no_best_and_that_is_said(command: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"checkpoint\.monitor is 'val/total', which is never logged.*no validation"):
        cli.main([command, *VAE, "--data.val_size=0", f"--run.dir={tmp_path}", "--run.id=one"])
    assert not (tmp_path / "vae-digits/one/checkpoints/best.ckpt").exists()


@pytest.mark.parametrize("command", ["fit", "check"])
def test_without_validation_there_is_nothing_to_stop_by(
    command: str, tmp_path: Path, errors_of: Callable[[list[str]], list[str]]
) -> None:
    words = ["--data.val_size=0", "--checkpoint.monitor=train/total", "--early_stopping.patience=3"]
    (line,) = errors_of([command, *VAE, *words, f"--run.dir={tmp_path}"])
    assert "early_stopping.monitor is 'val/total', which is never logged" in line
    assert line.endswith("there is no validation")


def test_metrics_of_training_may_come_later(tmp_path: Path) -> None:
    words = ["--checkpoint.monitor=train/total", "--trainer.log_every_n_steps=2", "--trainer.limit_train_batches=1"]
    run = cli.main(["fit", *VAE, *words, "--trainer.max_epochs=2", f"--run.dir={tmp_path}"]).run
    assert run.best.exists()


@pytest.mark.parametrize("setting", [{"monitor": "val/elbo"}, {"mode": "max"}, {"min_delta": 0.1}])
def test_early_stopping_without_patience_says_that_it_is_off(setting: dict[str, object]) -> None:
    with pytest.warns(UserWarning, match="no effect without a patience"):
        EarlyStopping(**setting)  # type: ignore[arg-type]


def test_early_stopping_that_is_off_or_on_says_nothing(recwarn: pytest.WarningsRecorder) -> None:
    EarlyStopping()
    EarlyStopping("val/elbo", mode="max", patience=3)
    assert not recwarn.list
