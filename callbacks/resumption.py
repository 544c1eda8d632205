"""What Lightning leaves open when it resumes a run, mended in one place."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import LRSchedulerConfig


class Resumption(Callback):
    """Lets a run go on where its checkpoint was made: nothing is left out, nothing happens twice.

    Lightning 2.6 resumes exactly from the end of an epoch and of a batch. It does not

    - between two batches, where the next one counts as begun: that count is taken back in the checkpoint;
    - in the midst of validation, which would go on with the rest of it and report means over that rest: the
      checkpoint has it begin anew;
    - at the end of an epoch under ``max_steps``, where an empty epoch follows: the epoch is completed;
    - a ``ReduceLROnPlateau`` after a checkpoint at the end of an epoch, or at the end of the epoch in which a run goes
      on: it takes each of its steps.
    """

    def __init__(self) -> None:
        self._monitored: dict[str, float] = {}  # what schedules on a plateau are about to see

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the epoch at whose end the checkpoint was made."""
        loop = trainer.fit_loop
        if loop.restarted_on_epoch_end:
            loop.epoch_progress.increment_completed()
            _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]  # the fit loop's own setter does more
            loop.reset_restart_stage()
        for config in _on_plateau(trainer):
            if config.monitor in self._monitored and trainer.current_epoch % config.frequency == 0:
                loop.epoch_loop.scheduler_progress.increment_ready()
                pl_module.lr_scheduler_step(config.scheduler, self._monitored[config.monitor])
                loop.epoch_loop.scheduler_progress.increment_completed()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Have the epoch end like any other."""
        trainer.fit_loop._restarting = False
        self._monitored = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what Lightning hands to the schedules when the epoch's checkpoint is made."""
        metrics = trainer.callback_metrics
        names = {config.monitor for config in _on_plateau(trainer) if config.monitor in metrics}
        self._monitored = {name: float(metrics[name]) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """The metrics of steps that are due."""
        return dict(self._monitored)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Get ready to take the steps that are due."""
        self._monitored = dict(state_dict)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Have an epoch that goes on with its validation end like any other."""
        trainer.fit_loop._restarting = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Make the progress in the checkpoint one that Lightning goes on from."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        loops = checkpoint["loops"]["fit_loop"]
        batches = loops["epoch_loop.batch_progress"]
        if trainer.validating:
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            loops["epoch_loop.val_loop.batch_progress"].update(total=begun, current=dict(begun), is_last_batch=False)
        elif batches["current"]["ready"] > batches["current"]["started"]:
            for count in (batches["total"], batches["current"]):
                count["ready"] = count["started"]
            batches["is_last_batch"] = False


def _on_plateau(trainer: Trainer) -> list[LRSchedulerConfig]:
    return [
        config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau and config.interval == "epoch"
    ]
