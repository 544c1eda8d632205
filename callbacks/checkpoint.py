"""Checkpoints of a run: the newest, the one before it, and the best."""

import math
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch import callbacks

# what reading a file raises that was cut short or changed
_UNREADABLE = (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile)


class Checkpoint(callbacks.Checkpoint):
    """Saves `last.ckpt` after every epoch and `best.ckpt` whenever the monitored metric improved.

    A checkpoint is written beside its final name, flushed to the disk and renamed, so that a file
    of that name is there and whole at every moment; the one it replaces is kept as `previous.ckpt`,
    for `newest_whole` to fall back on should the disk damage the newest. The epoch's
    checkpoint is taken after its validation, one in mid-epoch between two batches, when the metrics of the first
    are written and its gradients applied: one that is due while gradients accumulate or a validation is between
    the batches waits for the next batch.

    Args:
        monitor: logged metric that chooses the best checkpoint; never one of the test part.
        mode: whether a small (`min`) or a large (`max`) value is good.
        every_n_batches: save also after so many training batches within an epoch; 0 for epochs only.
    """

    def __init__(
        self, monitor: str = "val/total", mode: Literal["min", "max"] = "min", every_n_batches: int = 0
    ) -> None:
        super().__init__()
        if monitor.startswith("test/"):
            raise ValueError(f"checkpoint.monitor is {monitor!r}: a model is never selected on test data")
        if mode not in ("min", "max"):
            raise ValueError(f"checkpoint.mode is {mode!r}: choose min or max")
        self.monitor = monitor
        self.every_n_batches = every_n_batches
        self._sign = 1 if mode == "min" else -1
        self._best = math.inf
        self._due = False
        self._saved_at = 0  # training batches in the newest checkpoint
        self._validated = False  # since the last training batch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with what the checkpoint holds from which the run goes on."""
        self._saved_at = _batches(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save in mid-epoch where asked to."""
        self._due |= self.every_n_batches > 0 and batch_idx > 0 and batch_idx % self.every_n_batches == 0
        if self._due and self.save_between_batches(trainer, batch_idx):
            self._due = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note that no validation has followed yet."""
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that a validation was between the batches."""
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch, and keep it as the best if it is."""
        value = trainer.callback_metrics.get(self.monitor)
        improved = value is not None and self._sign * float(value) < self._best
        if improved:
            assert value is not None
            self._best = self._sign * float(value)
        last = self.save(trainer)
        if improved and trainer.is_global_zero:
            copy_durably(last, last.with_name("best.ckpt"))
        trainer.strategy.barrier("best checkpoint")

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best value so far."""
        self._best = state_dict["best"]

    def save_between_batches(self, trainer: Trainer, batch_idx: int) -> bool:
        """Save from the start of a batch what all batches before it have made, if a run can go on from there.

        Args:
            trainer: in its hook `on_train_batch_start`.
            batch_idx: of the batch that is about to begin.

        Returns:
            Whether all is saved; if not, ask again at the next batch.
        """
        if _batches(trainer) == self._saved_at:
            return True
        if self._validated or batch_idx % trainer.accumulate_grad_batches:
            return False
        self.save(trainer)
        return True

    def save(self, trainer: Trainer) -> Path:
        """Replace `last.ckpt`, keep the one before it as `previous.ckpt`, and return the path of the new one."""
        last = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
        part = last.with_name("last.ckpt.part")
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            _flush(part)
            if last.exists():
                copy_durably(last, last.with_name("previous.ckpt"))
            part.replace(last)
            _flush(last.parent)
        self._saved_at = _batches(trainer)
        return last


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint of a folder that can be read, or None if the folder has none at all.

    Raises:
        ValueError: if there are checkpoints and none of them can be read.
    """
    damaged = []
    for name in ("last.ckpt", "previous.ckpt"):
        path = folder / name
        if not path.exists():
            continue
        try:
            _verify(path)
        except _UNREADABLE as error:
            reason = type(error).__name__  # torch's own words recommend to run the code in the file
            print(f"{path} is damaged ({reason}): falling back to the checkpoint before it", flush=True)
            damaged.append(path)
        else:
            return path
    if damaged:
        raise ValueError(f"no checkpoint in {folder} can be read: restore one, or begin again under another --run.id")
    return None


def copy_durably(source: Path, target: Path) -> None:
    """Copy a file so that the target is there and whole at every moment, and on the disk in the end."""
    part = target.with_name(target.name + ".part")
    shutil.copyfile(source, part)
    _flush(part)
    part.replace(target)


def _batches(trainer: Trainer) -> int:
    return trainer.fit_loop.epoch_loop.batch_progress.total.completed


def _verify(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():  # torch.load does not look at the checksums
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _flush(path: Path) -> None:
    """Make sure that a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
