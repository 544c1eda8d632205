"""The mean of the weights of the last epochs, as a checkpoint."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from callbacks.checkpoint import Checkpoint
from callbacks.training_protocols import pretrains
from callbacks.whole_file import whole_file


class CheckpointAveraging(Callback):
    """Keeps the weights of the last epochs and, when the fit ends, writes the mean of them to `average.ckpt`.

    An epoch's weights go to `checkpoints/weights/<epoch>.ckpt`; those of one epoch more than asked for are kept, which
    are needed where a run falls back to the checkpoint before the newest. Epochs of a ``Phased`` model before the
    training of the whole do not count. `checkpoints/average.ckpt` is `last.ckpt` with other weights: the mean where
    they are floating-point numbers, that of running statistics too, and those of the last epoch where they are not.
    It is there only while training is at its end: a run that goes on removes it, and writes it anew when it ends.

    Checkpoints tell which epochs count, so a run that was killed and continued has the same mean as an unbroken one.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 6.1.

    Args:
        last: number of epochs; 0 for no average. At the end of a shorter run, all its epochs are averaged.
    """

    def __init__(self, last: int = 0) -> None:
        if last < 0:
            raise ValueError(f"averaging.last is {last}: choose the number of epochs to average, or 0 for none")
        self.last = last
        self.paths: list[Path] = []
        self._epochs: list[int] = []  # whose weights are kept

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make sure that there will be a checkpoint to put the mean into.

        Raises:
            ValueError: if not.
        """
        if stage == "fit" and self.last and not any(isinstance(other, Checkpoint) for other in _callbacks(trainer)):
            raise ValueError(f"averaging.last is {self.last}, which needs a Checkpoint among the callbacks: add one")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the weights of epochs that are going to be trained again, and of runs before this one."""
        if not (self.last and trainer.is_global_zero):
            return
        folder = _folder(trainer)
        self._remove_others(folder)
        there = [epoch for epoch in self._epochs if _weights(folder, epoch).exists()]
        if lost := sorted(set(self._epochs[-self.last :]) - set(there)):
            rank_zero_warn(f"{folder} lacks the weights of epochs {lost}: the average goes without them")
        self._epochs = there

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove a mean that is about to become one of other epochs than the last."""
        if trainer.is_global_zero:
            _average(trainer).unlink(missing_ok=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights of the epoch, before the checkpoint is made that tells of them."""
        if not self.last or pretrains(pl_module):
            return
        weights = trainer.strategy.lightning_module_state_dict()
        self._epochs = [*self._epochs, trainer.current_epoch][-self.last - 1 :]
        if trainer.is_global_zero:
            folder = _folder(trainer)
            _save(_weights(folder, trainer.current_epoch), {"state_dict": weights})
            self._remove_others(folder)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the mean, also if the run was killed when only that was left to do."""
        path = _average(trainer)
        epochs = self._epochs[-self.last :] if self.last else []
        if trainer.is_global_zero and epochs and not path.exists():
            saved = _load(path.with_name("last.ckpt"))
            average = mean_weights([_weights(_folder(trainer), epoch) for epoch in epochs])
            saved["state_dict"] = {name: average.get(name, value) for name, value in saved["state_dict"].items()}
            _save(path, saved)
            self.paths = [path]

    def state_dict(self) -> dict[str, Any]:
        """The epochs whose weights are kept."""
        return {"epochs": self._epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the epochs whose weights are kept."""
        self._epochs = list(state_dict["epochs"])

    def _remove_others(self, folder: Path) -> None:
        for path in set(folder.glob("*")) - {_weights(folder, epoch) for epoch in self._epochs}:
            path.unlink()


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Average the floating-point weights of checkpoints; the sums are made in float64.

    Args:
        paths: checkpoints with the same weights.

    Returns:
        Name to mean, in the precision of the weights.
    """
    sums: dict[str, Tensor] = {}
    for path in paths:
        weights = {name: value for name, value in _load(path)["state_dict"].items() if value.is_floating_point()}
        sums = {name: value.double() + sums.get(name, 0.0) for name, value in weights.items()}
    return {name: (total / len(paths)).to(weights[name].dtype) for name, total in sums.items()}


def _callbacks(trainer: Trainer) -> list[Callback]:
    found: list[Callback] = vars(trainer)["callbacks"]
    return found


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints" / "weights"


def _weights(folder: Path, epoch: int) -> Path:
    return folder / f"{epoch}.ckpt"


def _average(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints" / "average.ckpt"


def _load(path: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return saved


def _save(path: Path, content: dict[str, Any]) -> None:
    """Write so that the path holds the old content or the new, also if the machine fails."""
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
