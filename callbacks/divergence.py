"""A run whose loss is no longer a number stops, with the batch at hand and its last good checkpoint untouched."""

import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from callbacks.agreement import Agreement
from callbacks.first_batch import fields

_NOWHERE = (sys.maxsize, 0)
_IN_FLIGHT = 16  # batches that a GPU may lag behind before the host waits for it


class DivergedError(ValueError):
    """The loss or the weights of a run are no longer finite."""


class DivergenceGuard(Callback):
    """Stops a run at a loss that is NaN or infinite, and before such weights would be saved.

    The batch is written to `diverged.pt` in the run's folder, a dictionary of its tensors that
    `torch.load(..., weights_only=True)` reads. What was saved before stays as it is.

    A GPU is not waited for: the loss is copied to the host behind the computation and looked at once it is there,
    some batches later. Until then its batch is kept. A `training_step` that returns several losses, as under manual
    optimization, has all of them looked at.

    Raises:
        DivergedError: from the hooks, naming the batch, the checkpoint and the mend.
    """

    def __init__(self) -> None:
        self._agreement = Agreement()
        self._in_flight: deque[_Step] = deque()
        self._newest: _Step | None = None
        self._diverged: _Step | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the channel between the processes."""
        self._agreement.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Send the loss on its way, and look at those that have arrived."""
        clip = "trainer.gradient_clip_val" if pl_module.automatic_optimization else "model.init_args.gradient_clip"
        self._newest = _Step(_losses(outputs), batch, trainer.current_epoch, batch_idx, clip)
        self._in_flight.append(self._newest)
        while self._in_flight and (self._in_flight[0].has_arrived() or len(self._in_flight) > _IN_FLIGHT):
            self._look_at_oldest()
        if self._agreement.ask(self._diverged is not None):
            self._stop(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let no checkpoint be made of weights that are not finite."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        while self._in_flight:
            self._look_at_oldest()
        if self._diverged is None and not all(_is_finite(value) for value in checkpoint["state_dict"].values()):
            self._diverged = self._newest
        if self._agreement.decide(self._diverged is not None):
            self._stop(trainer)

    def _look_at_oldest(self) -> None:
        step = self._in_flight.popleft()
        if self._diverged is None and not step.is_finite():
            self._diverged = step

    def _stop(self, trainer: Trainer) -> None:
        # gradients carry a NaN to all processes: the one that met it first knows the batch
        places = self._agreement.gather(self._diverged.place if self._diverged else _NOWHERE)
        first = places.index(min(places))
        text = self._report(Path(trainer.default_root_dir)) if first == trainer.global_rank else ""
        raise DivergedError(self._agreement.gather(text)[first])

    def _report(self, folder: Path) -> str:
        assert self._diverged is not None
        batch, last = folder / "diverged.pt", folder / "checkpoints" / "last.ckpt"
        self._diverged.save(batch)
        saved = f"the last good checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
        return f"{self._diverged.describe()}; its batch is in {batch}, {saved}"


class _Step:
    """The loss of a batch on its way to the host."""

    def __init__(self, losses: Tensor, batch: Any, epoch: int, batch_idx: int, clip: str) -> None:
        self._batch = batch
        self._clip = clip
        self.place = (epoch, batch_idx)
        self._arrival: Any = None  # CUDA events have no type hints
        self._losses = losses
        if losses.is_cuda:
            self._losses = torch.empty_like(losses, device="cpu", pin_memory=True).copy_(losses, non_blocking=True)
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record()

    def has_arrived(self) -> bool:
        return self._arrival is None or self._arrival.query()

    def is_finite(self) -> bool:
        if self._arrival is not None:
            self._arrival.synchronize()
        return bool(self._losses.isfinite().all())

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: value.cpu() for name, value in fields(self._batch).items()}, path)

    def describe(self) -> str:
        """Say what happened, and why if the batch shows it."""
        place = f"batch {self.place[1]} of epoch {self.place[0]}"
        if self.is_finite():
            happened = f"the weights are no longer finite after {place}"
        else:
            happened = f"the loss is {_first_not_finite(self._losses)} at {place}"
        broken = {
            name: int((~value.isfinite()).sum()) for name, value in fields(self._batch).items() if not _is_finite(value)
        }
        if broken:
            values = ", ".join(f"{count} values of {name}" for name, count in broken.items())
            return f"{happened}, where {values} are not finite: mend the data"
        return f"{happened}: lower the learning rate or clip the gradients (--{self._clip})"


def _losses(outputs: Any) -> Tensor:
    """All losses that a training step returned, as one float32 vector; empty if it returned none."""
    values = outputs.values() if isinstance(outputs, Mapping) else [outputs]
    losses = [value.detach().float().flatten() for value in values if isinstance(value, Tensor)]
    return torch.cat(losses) if losses else torch.zeros(0)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, Tensor) or bool(value.isfinite().all())


def _first_not_finite(values: Tensor) -> float:
    return float(values[~values.isfinite()][0])
