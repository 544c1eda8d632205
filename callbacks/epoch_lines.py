"""A line of plain text for every epoch, for logs that are not a terminal."""

import math
import time
from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.training_protocols import Phased

LINES = 30


class EpochLines(Callback):
    """Prints where training stands after each validation; a progress bar would fill a log with control codes.

    A line reads ``epoch 3/30  step 360  train/total 95.2  val/total 97.1  7212 samples/s  1.2 s``, where steps are
    training batches and seconds are since training began in this process. The speed is what `Throughput` logged last,
    where it did. A fit of known length, in epochs or steps, prints about 30 lines at most, evenly spread, and always
    its last. Without validation there is a line for a training epoch.

    While a `Phased` model pretrains, the line names the phase, and has that phase's loss and validation instead of the
    totals: ``epoch 3/30  layer1  step 360  pretrain/layer1/loss 95.2  pretrain/layer1/val_reconstruction 97.1``. What
    earlier phases logged is never in the lines of later ones.

    Args:
        metrics: names of metrics to print besides those that end in ``/total`` and those that callbacks monitor, for
            example ``val/accuracy``.
    """

    def __init__(self, metrics: Sequence[str] = ()) -> None:
        self.metrics = list(metrics)
        self._began = 0.0
        self._slot = 0
        self._withheld = ""
        self._unseen = set(self.metrics)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._began = time.monotonic()
        self._slot = 0
        self._withheld = ""
        self._unseen = set(self.metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports, if this validation is a part of training."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._report(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports, where no validation does."""
        if not sum(trainer.num_val_batches):
            self._report(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the last line if it was withheld, and names metrics that were asked for but never came.

        Warns:
            UserWarning: for each such metric.
        """
        if self._withheld:
            print(self._withheld, flush=True)
        for name in sorted(self._unseen):
            rank_zero_warn(f"EpochLines was to print {name!r}, which this run never logged")

    def _report(self, trainer: Trainer, model: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        line = self._line(trainer, model, epoch)
        slot = _slot(trainer, epoch)
        if slot is None or slot > self._slot:
            self._slot = slot or 0
            self._withheld = ""
            print(line, flush=True)
        else:
            self._withheld = line

    def _line(self, trainer: Trainer, model: LightningModule, epoch: int) -> str:
        values = trainer.callback_metrics
        self._unseen -= set(values)
        monitored = [getattr(callback, "monitor", None) for callback in vars(trainer)["callbacks"]]
        phase = model.phase if isinstance(model, Phased) and model.pretrains else None
        # Lightning keeps what earlier phases logged
        current = [name for name in values if not name.startswith("pretrain/") or name.startswith(f"pretrain/{phase}/")]
        if phase is None:
            progress = sorted(name for name in current if name.endswith("/total"))
        else:
            progress = sorted(filter(_tells_progress, current), key=lambda name: "/val_" in name)
        progress = [name for name in progress if name not in self.metrics]
        shown = [name for name in dict.fromkeys([*progress, *monitored, *self.metrics]) if name in current]
        step = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        speed = values.get("speed/samples_per_s")
        return "  ".join(
            [
                f"epoch {epoch}/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else f"epoch {epoch}",
                *([] if phase is None else [phase]),
                f"step {step}",
                *(f"{name} {float(values[name]):.4g}" for name in shown),
                *([] if speed is None else [f"{float(speed):.0f} samples/s"]),
                f"{time.monotonic() - self._began:.1f} s",
            ]
        )


def _tells_progress(name: str) -> bool:
    """Whether this metric of a phase is the loss, a score, or one of its validation."""
    split, _, term = name.rpartition("/")
    return split.startswith("pretrain/") and (term in ("loss", "total", "accuracy") or term.startswith("val_"))


def _slot(trainer: Trainer, epoch: int) -> int | None:
    """Which of the lines of the whole fit is due now, or None if nothing says how long the fit will be."""
    done = []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        within = min(1.0, (trainer.fit_loop.epoch_loop.batch_idx + 1) / trainer.num_training_batches)
        done.append((epoch - 1 + within) / trainer.max_epochs)
    if trainer.max_steps > 0:
        done.append(trainer.global_step / trainer.max_steps)
    return math.floor(LINES * max(done) + 1e-9) if done else None
