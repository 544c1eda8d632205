"""What Lightning leaves open when it resumes a run, mended in one place."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.trainer.states import TrainerFn


class Resumption(Callback):
    """Lets a run go on where its checkpoint was made: nothing is left out, nothing happens twice.

    Lightning 2.6 resumes exactly from the end of an epoch and of a batch. It does not

    - between two batches, where the next one counts as begun: that count is taken back in the checkpoint;
    - in the midst of validation, which would go on with the rest of it and report means over that rest: the
      checkpoint has it begin anew;
    - at the end of an epoch under ``max_steps``, where an empty epoch follows: the epoch is completed;
    - in the epoch of a resume, at whose end a ``ReduceLROnPlateau`` is passed over: it is not.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the epoch at whose end the checkpoint was made."""
        loop = trainer.fit_loop
        if loop.restarted_on_epoch_end:
            loop.epoch_progress.increment_completed()
            _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]  # the fit loop's own setter does more
            loop.reset_restart_stage()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Have the epoch end like any other."""
        trainer.fit_loop._restarting = False

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
