"""Trying a run before it starts: a few batches of everything, of which nothing is kept."""

import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.first_batch import fields, not_finite
from callbacks.metrics_file import MetricsFile
from callbacks.monitors import Monitors, unlogged_monitors
from callbacks.origins import print_columns
from callbacks.settings import SettingsError
from callbacks.user_errors import problems_in

_MOST_BATCHES = 50  # that are timed
_SECONDS = 2.0  # after which no more are


class Preflight(Callback):
    """Runs a batch of each stage, times some more of training, and notes what there is to know.

    Everything that the callbacks write goes to a temporary folder.

    Args:
        arguments: those of the Trainer that would run.
        config: the resolved configuration, whose keys the problems are named by.

    Attributes:
        problems: a line for each, once it has run.
    """

    def __init__(self, arguments: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self._limits = {name: arguments[name] for name in ("limit_train_batches", "limit_val_batches")}
        self._tests = arguments["limit_test_batches"] != 0
        self._validates = arguments["limit_val_batches"] != 0
        self._every = arguments["check_val_every_n_epoch"] or 1
        self._config = config
        self._folder = tempfile.TemporaryDirectory(prefix="check-")
        self._lines: dict[str, str] = {}
        self._log_every = 1
        self._batches: int | None = None
        self._validation_batches: int | None = None
        self._timed = 0
        self._began = self._seconds = self._validation_began = self._validation_seconds = 0.0
        self.problems: list[str] = []

    def trainer_arguments(self, given: list[Callback]) -> dict[str, Any]:
        """Arguments of the Trainer that are others than in the run.

        Args:
            given: callbacks of the configuration.
        """
        train = self._limits["limit_train_batches"]
        return {
            # one that is told where to write would leave something behind
            "callbacks": [
                self,
                Monitors(),
                *(callback for callback in given if not isinstance(callback, ModelCheckpoint)),
            ],
            "default_root_dir": self._folder.name,
            "logger": MetricsFile(Path(self._folder.name)),
            "enable_progress_bar": False,
            "fast_dev_run": False,
            "limit_train_batches": min(train, _MOST_BATCHES) if isinstance(train, int) else _MOST_BATCHES,
            "limit_val_batches": int(self._validates),
            "limit_test_batches": int(self._tests),
            "min_epochs": None,
            "min_steps": None,
            "check_val_every_n_epoch": 1,
            "val_check_interval": 1.0,
        }

    def run(self, trainer: Trainer, model: LightningModule, data: LightningDataModule | None) -> None:
        """Run everything, print what was found, and fill `problems`."""
        with self._folder:
            self.problems += problems_in(lambda: trainer.fit(model, data), self._config)
            if not self._timed and not self.problems:
                self.problems.append(
                    "trainer: no batch is trained, look at max_epochs, max_steps and limit_train_batches"
                )
            if self._tests and "batch train" in self._lines:
                self.problems += problems_in(lambda: trainer.test(model, data, verbose=False), self._config)
        self.problems = list(dict.fromkeys(self.problems))  # a stage may repeat what another one has said
        if trainer.is_global_zero:
            self._describe(model)

    def _describe(self, model: LightningModule) -> None:
        for name, module in [("total", model), *model.named_children()]:
            counts = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
            if counts:
                trainable = sum(count for count, trained in counts if trained)
                self._lines[f"parameters {name}"] = f"{sum(count for count, _ in counts):,} ({trainable:,} trainable)"
        self._lines["memory"] = _peak_memory()
        if self._timed:
            self._lines["time of an epoch"] = self._estimate()
        print_columns(list(self._lines.items()))

    def _estimate(self) -> str:
        batch = self._seconds / self._timed
        if (batches := self._batches) is None:
            return f"about {batch:.3g} s a batch of data without a length"
        text = f"about {_duration(batches * batch)} for {batches:,} training batches"
        if self._validation_seconds:
            rounds = self._validation_batches or 1
            text += f" and {_duration(rounds * self._validation_seconds)} for {rounds:,} of validation"
            text += f" every {self._every} epochs" if self._every > 1 else ""
        return f"{text}; an estimate from {self._timed}"

    def _note(self, stage: str, phase: str, batch: Any, loader: int = 0) -> None:
        row = f"batch {stage} {loader + 1}" if loader else f"batch {stage}"
        if row not in self._lines:
            self._lines[row] = "  ".join(
                f"{name} {str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}"
                for name, values in fields(batch).items()
            )
            self.problems += not_finite(phase, batch)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the batches of an epoch; have the first logged, so that the names of its metrics are known."""
        self._batches = _count(trainer.train_dataloader, self._limits["limit_train_batches"])
        self._log_every, trainer.log_every_n_steps = trainer.log_every_n_steps, 1  # type: ignore[attr-defined]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Look at the batch."""
        self._note("train", "training", batch)
        if batch_idx == 0:
            self._began = _now(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the first loss; time the batches behind the first."""
        if batch_idx == 0:
            trainer.log_every_n_steps = self._log_every  # type: ignore[attr-defined]
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            if not self.problems and loss is not None and not torch.isfinite(loss).all():
                self.problems.append(f"model: the loss of the first training batch is {loss.item()}")
            self._timed, self._seconds = 1, _now(pl_module) - self._began
            self._began = _now(pl_module)
        else:
            self._timed, self._seconds = batch_idx, _now(pl_module) - self._began
            trainer.should_stop = self._seconds > _SECONDS

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after one epoch, whatever the length of the run."""
        trainer.should_stop = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the batches, and start the clock."""
        self._validation_batches = _count(trainer.val_dataloaders, self._limits["limit_val_batches"])
        self._validation_began = _now(pl_module)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Look at the batch."""
        self._note("validation", "validation", batch, dataloader_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for metrics that are watched and not logged."""
        self._validation_seconds = (_now(pl_module) - self._validation_began) / len(_as_list(trainer.val_dataloaders))
        if problems := unlogged_monitors(trainer, with_training=True):
            raise SettingsError(problems)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Look at the batch."""
        self._note("test", "test", batch, dataloader_idx)


def _now(model: LightningModule) -> float:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.monotonic()


def _peak_memory() -> str:
    """Of the device that the model was on, else of this process."""
    if torch.cuda.is_available() and (peak := torch.cuda.max_memory_allocated()):
        return f"{peak / 2**30:.2f} GiB at most on the device"
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.2f} GiB at most in this process"


def _count(loaders: Any, limit: int | float | None) -> int | None:
    """Batches of all loaders, of each of which there is a limit; None if one has no length."""
    try:
        batches = [len(loader) for loader in _as_list(loaders)]
    except TypeError:
        return None
    if limit is None:
        return sum(batches)
    return sum(min(count, limit) if isinstance(limit, int) else int(count * limit) for count in batches)


def _as_list(loaders: Any) -> list[Any]:
    return loaders if isinstance(loaders, list) else [loaders]


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.2g} s" if minutes < 1 else f"{minutes:.1f} min" if minutes < 60 else f"{minutes / 60:.1f} h"
