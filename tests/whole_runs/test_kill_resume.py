"""A run that is killed and continued ends exactly like one that is left alone."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from in_two import TWO, UNDRAWN, go_in_two
from offline import small

from benchmarks.kill_resume import BATCHES, EPOCHS, Kill, Run, compare, differences, plan, settings, unequal

ROOT = Path(__file__).parent.parent.parent
VAE = str(ROOT / "configs/vae/digits.yaml")
KILLS = [Kill(4, "batch"), Kill(BATCHES, "validation"), Kill(EPOCHS * BATCHES - 1, "batch")]
SHORT = 5  # batches of each epoch, of a run that every technique makes


def test_every_technique_resumes_exactly(config: Path, tmp_path: Path) -> None:
    words = [*settings(str(config)), *small(config), UNDRAWN]
    words += [f"--trainer.limit_train_batches={SHORT}", "--trainer.limit_val_batches=2"]
    kills = [Kill(4, "batch"), Kill(2 * SHORT, "validation"), Kill(EPOCHS * SHORT - 1, "batch")]
    assert compare(words, kills, tmp_path) == []


@pytest.mark.parametrize(
    "details",
    [
        {"workers": 2},
        {"accumulate": 2},
        {"one_cycle": True},
        {"accumulate": 3, "one_cycle": True},
    ],
    ids=str,
)
def test_a_run_resumes_exactly_whatever_feeds_and_schedules_it(details: dict[str, Any], tmp_path: Path) -> None:
    kills = [Kill(0, "batch"), *KILLS[:2], Kill(17, "save")]
    assert compare([*settings(VAE, **details), UNDRAWN], kills, tmp_path) == []


def test_two_processes_resume_exactly(tmp_path: Path) -> None:
    alone, killed = (Run(tmp_path / name, (*settings(VAE), UNDRAWN, *TWO)) for name in ("alone", "killed"))
    assert go_in_two(alone) == [0, 0], alone.log.read_text()
    assert [killed.go(*kill.flags) for kill in KILLS[:2]] == [-signal.SIGKILL] * 2, killed.log.read_text()
    assert go_in_two(killed) == [0, 0], killed.log.read_text()
    assert differences(alone, killed) == []


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.val_check_interval=0.2", "--checkpoint.every_n_batches=1"],
        ["--trainer.max_steps=35", "--checkpoint.every_n_batches=7"],
        [
            "--model.init_args.scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau",
            "--model.init_args.scheduler.init_args.patience=0",
            "--model.init_args.scheduler.init_args.threshold=0.5",
            "--model.init_args.scheduler_interval=epoch",
        ],
    ],
    ids=["validation within the epoch", "max_steps", "plateau"],
)
def test_what_lightning_alone_does_not_resume(words: list[str], tmp_path: Path) -> None:
    kills = [Kill(5, "batch"), Kill(12, "batch"), Kill(20, "batch"), Kill(28, "save")]
    assert compare([*settings(VAE), UNDRAWN, *words], kills, tmp_path) == []


PERSISTENT = [{"class_path": "BinaryRBM", "init_args": {"units": 20, "chains": 10}}] * 2


@pytest.mark.parametrize(
    ("technique", "words"),
    [("stacked", []), ("dbn", [f"--model.init_args.layers={json.dumps(PERSISTENT)}"])],
    ids=["codes in memory", "persistent chains"],
)
def test_every_phase_of_pretraining_resumes_exactly(technique: str, words: list[str], tmp_path: Path) -> None:
    phases = range(0, 40, 10)  # two epochs of five batches each: two layers, the readout, the whole
    kills = [Kill(start + batch, "batch") for start in phases for batch in (0, 7)]
    kills += [Kill(end, moment) for end in phases[1:] for moment in ("validation", "save")]
    kills.sort(key=lambda kill: (kill.at, kill.moment == "batch"))
    epochs = ["--trainer.max_epochs=8", "--trainer.limit_train_batches=5", "--pretraining.limit_epochs=2"]
    schedule = "--pretraining.scheduler=torch.optim.lr_scheduler.ExponentialLR"
    halved = [schedule, "--pretraining.scheduler.init_args.gamma=0.5"]
    config = str(ROOT / f"configs/{technique}/digits.yaml")
    assert compare([*settings(config), UNDRAWN, *epochs, *halved, *words], kills, tmp_path) == []


def test_the_comparison_finds_what_differs(tmp_path: Path) -> None:
    words = (*settings(VAE), UNDRAWN)
    one, other = (Run(tmp_path / str(seed), (*words, f"--seed_everything={seed}")) for seed in range(2))
    assert (one.go(), other.go()) == (0, 0)
    places = differences(one, other)
    assert any(place.startswith("/state_dict") for place in places)
    assert any(place.startswith("/optimizer_states") for place in places)
    assert any(place.startswith("metrics.csv") for place in places)
    assert differences(one, one) == []


@pytest.mark.parametrize(
    ("one", "other", "places"),
    [
        ({"a": [torch.zeros(2)]}, {"a": [torch.zeros(2)]}, []),
        ({"a": [torch.zeros(2)]}, {"a": [torch.tensor([0.0, 1e-7])]}, ["/a/0"]),
        ({"a": torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.float64)}, ["/a"]),
        ({"a": 1}, {"b": 1}, [""]),
        ([1, 2], [1, 2, 3], [""]),
        ({"a": 1}, {"a": 1.0}, ["/a"]),
    ],
)
def test_nothing_unequal_is_passed_over(one: Any, other: Any, places: list[str]) -> None:
    assert unequal(one, other) == places


def test_a_kill_is_a_kill(tmp_path: Path) -> None:
    run = Run(tmp_path, tuple(settings(VAE)))
    assert run.go(*Kill(7, "batch").flags) == -signal.SIGKILL
    assert run.checkpoint["state_dict"]["batch_step"] == 6  # the newest of those after every third batch


def test_a_plan_always_has_the_moments_that_matter() -> None:
    kills = plan(20)
    assert len(kills) == 20
    assert {Kill(0, "batch"), Kill(EPOCHS * BATCHES - 1, "batch")} <= set(kills)
    assert {kill.moment for kill in kills} == {"batch", "validation", "save"}
    assert [kill.at for kill in kills] == sorted(kill.at for kill in kills)
    assert plan(20, seed=1) != kills
