"""Metrics that are watched, and settings of theirs that have no effect."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from phases import InPhases, fit_in_phases

import cli
from callbacks import Checkpoint, EarlyStopping, Monitors, Preflight, SettingsError

pytestmark = pytest.mark.usefixtures("no_drawing")

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


def test_what_only_the_whole_logs_may_be_watched_from_the_start(tmp_path: Path) -> None:
    callbacks = [Monitors(), Checkpoint(), EarlyStopping(patience=100)]
    trainer = fit_in_phases(tmp_path, callbacks, epochs=5)
    assert trainer.current_epoch == 5
    assert (tmp_path / "checkpoints/best.ckpt").exists()


def test_a_metric_that_never_comes_ends_the_run_behind_pretraining(tmp_path: Path) -> None:
    model = InPhases()
    with pytest.raises(SettingsError, match=r"checkpoint\.monitor is 'val/totl'.*did you mean 'val/total'"):
        fit_in_phases(tmp_path, [Monitors(), Checkpoint("val/totl")], 5, model)
    assert model.current_epoch == 3


def test_without_validation_that_is_said_behind_pretraining(tmp_path: Path) -> None:
    model = InPhases()
    callbacks = [Monitors(), Checkpoint("train/total"), EarlyStopping(patience=3)]
    with pytest.raises(SettingsError, match=r"early_stopping\.monitor is 'val/total'.*no validation"):
        fit_in_phases(tmp_path, callbacks, 5, model, limit_val_batches=0)
    assert model.current_epoch == 3


def test_a_continued_run_may_have_watched_pretraining(tmp_path: Path) -> None:
    # of a run that goes on behind it, the metrics of pretraining are not those of this process
    fit_in_phases(tmp_path, [Monitors(), Checkpoint("pretrain/layer1/loss")], 2, InPhases(phases=()))


def test_a_trial_run_sees_the_first_phase_only(tmp_path: Path) -> None:
    arguments: dict[str, Any] = dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches"))
    preflight = Preflight({**arguments, "check_val_every_n_epoch": 1}, {})
    callbacks = [preflight, Monitors(), EarlyStopping(patience=3)]
    assert fit_in_phases(tmp_path, callbacks, epochs=5).current_epoch == 1
    with pytest.raises(SettingsError, match="'val/totl'"):
        fit_in_phases(tmp_path, [preflight, EarlyStopping("val/totl", patience=3)], 5, InPhases(phases=()))


@pytest.mark.parametrize(
    ("validation", "best", "last"),
    [({}, 3.5, 4), ({"val_check_interval": 0.5}, 3.5, 3), ({"check_val_every_n_epoch": 2}, 4.5, 7)],
)
def test_patience_is_counted_from_the_end_of_pretraining(
    tmp_path: Path, validation: dict[str, float], best: float, last: int
) -> None:
    stopping = EarlyStopping(patience=2)
    fit_in_phases(tmp_path, [stopping], 12, InPhases(phases=("layer1", "layer2")), **validation)
    assert stopping.best_score == best
    assert stopping.stopped_epoch == last


def test_pretraining_is_never_stopped_early() -> None:
    with pytest.raises(ValueError, match=r"early_stopping\.monitor is 'pretrain/layer1/loss': pretraining"):
        EarlyStopping("pretrain/layer1/loss", patience=2)
