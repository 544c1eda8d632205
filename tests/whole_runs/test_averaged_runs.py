"""The mean of the last epochs of whole runs: killed ones, and ones of two processes."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from in_two import TWO, UNDRAWN, go_in_two
from torch import Tensor

from benchmarks.kill_resume import BATCHES, EPOCHS, Kill, Run, compare, settings

ROOT = Path(__file__).parent.parent.parent
VAE = ROOT / "configs/vae/digits.yaml"


def average(folder: Path) -> dict[str, Tensor]:
    path = folder / "run" / "run" / "checkpoints" / "average.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_killed_run_has_the_same_average(tmp_path: Path) -> None:
    kills = [Kill(2 * BATCHES, "save"), Kill(3 * BATCHES + 4, "batch"), Kill(EPOCHS * BATCHES, "save")]
    assert compare([*settings(str(VAE)), UNDRAWN, "--averaging.last=3"], kills, tmp_path) == []
    alone, killed = (average(tmp_path / name) for name in ("alone", "killed"))
    assert all(torch.equal(alone[name], killed[name]) for name in alone)
    last = Run(tmp_path / "alone", ()).checkpoint["state_dict"]
    assert alone["batch_step"] == last["batch_step"] == EPOCHS * BATCHES
    assert not torch.equal(alone["encoder.1.weight"], last["encoder.1.weight"])


def test_two_processes_have_the_average_of_one_also_after_a_kill(run: Callable[..., Run]) -> None:
    words: list[Any] = ["--trainer.max_epochs=3", "--trainer.limit_train_batches=3", "--trainer.precision=64-true"]
    words += [UNDRAWN, "--trainer.callbacks+=comparable.Comparable", "--averaging.last=2", "--wandb.mode=disabled"]
    words += ["--trainer.limit_val_batches=0"]
    one = run("one", VAE, *words, "--trainer.devices=1", "--data.init_args.batch_size=64")
    two = run("two", VAE, *words, *TWO, "--data.init_args.batch_size=32")
    codes = (one.go(), two.go(*Kill(8, "batch").flags), *go_in_two(two))
    assert codes == (0, -signal.SIGKILL, 0, 0), two.log.read_text()
    first, second = average(one.folder), average(two.folder)
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-6
