"""A callback that has a run signalled at a moment of its own choosing."""

import os
import signal
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Signal(Callback):
    """Sends a signal to its own process, or to that and its workers, as a cluster does."""

    def __init__(
        self, at: int, moment: str = "batch", name: str = "SIGTERM", rank: int = 0, everyone: bool = False
    ) -> None:
        self.at, self.moment, self.rank, self.everyone = at, moment, rank, everyone
        self.signum = signal.Signals[name]

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
        self.send("batch", trainer)

    def on_validation_batch_end(self, trainer: Trainer, *details: Any) -> None:
        self.send("validation", trainer)

    def send(self, moment: str, trainer: Trainer) -> None:
        done = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        if moment == self.moment and done == self.at and trainer.global_rank == self.rank:
            self.at = -1
            if self.everyone:
                os.killpg(0, self.signum)
            else:
                os.kill(os.getpid(), self.signum)
