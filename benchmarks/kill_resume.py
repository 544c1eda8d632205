"""Kills a run again and again, continues it each time, and compares the end with that of a run left alone.

    python -m benchmarks.kill_resume --config configs/vae/digits.yaml
    python -m benchmarks.kill_resume --config configs/vae/digits.yaml --workers 2
    python -m benchmarks.kill_resume --config configs/vae/digits.yaml --accumulate 2
    python -m benchmarks.kill_resume --config configs/vae/digits.yaml --one-cycle
    python -m benchmarks.kill_resume --config configs/vae/digits.yaml --processes 2

Each kill is a SIGKILL at a chosen batch. Among them are the first batch, the last one, one in the midst of a validation
and one while a checkpoint is written. The comparison is exact: weights, buffers, states of the optimizer, the schedule,
the random number generators, and every number in metrics.csv but those of speed.
"""

import argparse
import csv
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer

from benchmarks.launching import ROOT, launch

# that of a machine's layer is no objective, and near zero: its reconstruction error is
_LOSS = re.compile(r"train/total|train/\w+_loss|pretrain/layer\d+/reconstruction")

Moment = Literal["batch", "validation", "save"]


class Killer(Callback):
    """Ends its process, and all others of the run, by SIGKILL.

    Args:
        at: number of training batches that are done by then, in the whole run.
        moment: in the midst of the next training batch, of the next validation, or of the next checkpoint.
    """

    def __init__(self, at: int, moment: Moment) -> None:
        self._at = at
        self._moment = moment

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
        """Strike within a training batch."""
        self._strike("batch", trainer)

    def on_validation_batch_end(self, trainer: Trainer, *details: Any) -> None:
        """Strike within a validation."""
        self._strike("validation", trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Strike while a checkpoint is made."""
        self._strike("save", trainer)

    def _strike(self, moment: Moment, trainer: Trainer) -> None:
        done = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        if moment == self._moment and done >= self._at and trainer.is_global_zero:
            os.killpg(0, signal.SIGKILL)


@dataclass(frozen=True)
class Kill:
    """When a run is killed."""

    at: int
    moment: Moment

    @property
    def flags(self) -> list[str]:
        """Flags of a launch that ends with it."""
        return [
            "--trainer.callbacks+=benchmarks.kill_resume.Killer",
            f"--trainer.callbacks.at={self.at}",
            f"--trainer.callbacks.moment={self.moment}",
        ]


@dataclass(frozen=True)
class Run:
    """Where a run lies and what it was started with."""

    folder: Path
    words: tuple[str, ...]

    def go(self, *more: str) -> int:
        """Start or continue it, with more flags for this launch only, and return its exit code once it ended."""
        process = self.start(*more)
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def start(self, *more: str) -> BaseProcess:
        """Start or continue it, and return the running process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = (f"--run.dir={self.folder}", "--run.experiment=run", "--run.id=run")
        return launch(["fit", *self.words, *place, *more], self.log)

    @property
    def log(self) -> Path:
        """What it printed, in all its launches."""
        return self.folder / "log.txt"

    @property
    def checkpoint(self) -> dict[str, Any]:
        """What its newest checkpoint holds."""
        path = self.folder / "run" / "run" / "checkpoints" / "last.ckpt"
        content: dict[str, Any] = torch.load(path, weights_only=True)
        return content

    @property
    def history(self) -> list[dict[str, str]]:
        """The rows of its metrics.csv, without what depends on the machine's speed."""
        with (self.folder / "run" / "run" / "metrics.csv").open(newline="") as file:
            rows = [
                {name: value for name, value in row.items() if not name.startswith("speed/")}
                for row in csv.DictReader(file)
            ]
        return [row for row in rows if any(value for name, value in row.items() if name not in ("step", "epoch"))]

    @property
    def losses(self) -> dict[str, list[float]]:
        """The logged training losses by their names: `train/total`, or one of each player or pretrained layer."""
        names = [name for name in self.history[0] if _LOSS.fullmatch(name)]
        return {name: [float(row[name]) for row in self.history if row[name]] for name in names}


def settings(config: str, workers: int = 0, accumulate: int = 1, one_cycle: bool = False) -> list[str]:
    """The flags of a short run that makes a checkpoint every few batches.

    Args:
        config: of a technique on data that load without a network.
        workers: processes that prepare batches.
        accumulate: batches to an optimizer step.
        one_cycle: whether the learning rate follows OneCycleLR, which changes at every step.
    """
    words = [
        f"--config={config}",
        "--trainer.accelerator=cpu",
        f"--trainer.max_epochs={EPOCHS}",
        f"--trainer.limit_train_batches={BATCHES}",
        "--trainer.check_val_every_n_epoch=1",
        "--trainer.log_every_n_steps=1",
        f"--trainer.accumulate_grad_batches={accumulate}",
        f"--data.init_args.num_workers={workers}",
        "--data.init_args.eval_batch_size=20",
        "--checkpoint.every_n_batches=3",
        "--pictures.every_n_epochs=1000",
        "--pretraining.limit_epochs=1",
        "--wandb.mode=disabled",
    ]
    if one_cycle:
        words += [
            "--model.init_args.scheduler=torch.optim.lr_scheduler.OneCycleLR",
            "--model.init_args.scheduler.init_args.max_lr=0.01",
            f"--model.init_args.scheduler.init_args.total_steps={EPOCHS * -(-BATCHES // accumulate)}",
            "--model.init_args.scheduler_interval=step",
        ]
    return words


EPOCHS = 4
BATCHES = 10


def plan(count: int, seed: int = 0) -> list[Kill]:
    """Random moments in the order of a run: always the first batch, the last one, a validation and a checkpoint."""
    chance = random.Random(seed)
    last = EPOCHS * BATCHES - 1
    always = [Kill(0, "batch"), Kill(BATCHES, "validation"), Kill(BATCHES + 1, "save"), Kill(last, "batch")]
    free = [Kill(chance.randrange(1, last), "batch") for _ in range(count - len(always))]
    return sorted(always[:count] + free, key=lambda kill: kill.at)


def unequal(one: Any, other: Any, path: str = "") -> list[str]:
    """The places at which two contents of checkpoints differ, in whatever they are nested."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [path]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [place for key in one for place in unequal(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [place for i, pair in enumerate(zip(one, other, strict=True)) for place in unequal(*pair, f"{path}/{i}")]
    return [] if type(one) is type(other) and one == other else [path]


def differences(alone: Run, killed: Run) -> list[str]:
    """Where two finished runs differ in their checkpoints or histories."""
    places = unequal(alone.checkpoint, killed.checkpoint)
    first, second = alone.history, killed.history
    places += [f"metrics.csv row {i}" for i, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]]
    return places + ([f"metrics.csv has {len(second)} rows, not {len(first)}"] if len(first) != len(second) else [])


def compare(words: Sequence[str], kills: Sequence[Kill], folder: Path) -> list[str]:
    """Run once undisturbed and once with kills, and list the differences.

    Args:
        words: flags of the run.
        kills: in the order of the run.
        folder: for both runs.

    Raises:
        RuntimeError: if a process ended otherwise than by its kill, with what it printed.
    """
    alone, killed = Run(folder / "alone", tuple(words)), Run(folder / "killed", tuple(words))
    for run, kill in [(alone, None), *((killed, kill) for kill in kills), (killed, None)]:
        expected = -signal.SIGKILL if kill else 0
        if (code := run.go(*(kill.flags if kill else []))) != expected:
            raise RuntimeError(
                f"{kill or 'a run to its end'} ended with {code}, not {expected}:\n{run.log.read_text()}"
            )
    return differences(alone, killed)


def main() -> None:
    """Kill, continue, compare, and print the verdict; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config", required=True, nargs="+", help="configurations of techniques on data without a network"
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--one-cycle", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    exact = True
    for config in arguments.config:
        words = settings(str(ROOT / config), arguments.workers, arguments.accumulate, arguments.one_cycle)
        words += [f"--trainer.devices={arguments.processes}"]
        words += ["--trainer.strategy=ddp"] if arguments.processes > 1 else []
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            places = compare(words, plan(arguments.kills, arguments.seed), Path(folder))
        verdict = f"differs in {', '.join(places[:5])}" if places else "identical"
        print(f"{config}: {arguments.kills} kills, {verdict} ({time.perf_counter() - start:.0f} s)", flush=True)
        exact &= not places
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
