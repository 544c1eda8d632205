"""A run that is told to stop saves what it has, and says how it goes on."""

import signal
import threading
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from callbacks.agreement import Agreement
from callbacks.checkpoint import Checkpoint

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class TerminatedError(Exception):
    """A run stopped because a signal asked it to, after it had saved everything.

    Args:
        signum: the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum  # as shells report a process that a signal ended


class Termination(Callback):
    """Saves at the next batch of training or validation and ends the run, when a signal asks for it.

    The signals are SIGTERM (clusters, `kill`), SIGUSR1 (clusters, ahead of the end of a job) and SIGINT (Ctrl-C; a
    second one ends the process at once). They may reach any one of several processes: all stop at the same batch,
    one batch later than a single process, and not within a validation but after it, because processes may differ
    in its batches.

    Args:
        checkpoint: saves the run.

    Raises:
        TerminatedError: from the hooks, when the run is saved.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._agreement = Agreement()
        self._received = 0
        self._agreed = 0
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the signals, in place of Lightning, which saves nothing at them."""
        self._agreement.start()
        if threading.current_thread() is threading.main_thread():
            self._handlers = {signum: signal.signal(signum, self._note) for signum in SIGNALS}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save between two batches."""
        self._agreed = max(self._agreed, self._agreement.ask(self._received))
        if self._agreed and self._checkpoint.save_between_batches(trainer, batch_idx):
            raise TerminatedError(self._agreed)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save before a validation, which the continued run begins with."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._agreed = max(self._agreed, self._agreement.decide(self._received))
            self._stop_in_validation(trainer)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Save within a validation, which the continued run begins anew."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking and trainer.world_size == 1:
            self._agreed = self._agreed or self._received
            self._stop_in_validation(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the signals to whom they belonged."""
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the signals to whom they belonged."""
        self._give_back()

    def _stop_in_validation(self, trainer: Trainer) -> None:
        at_its_end = 0 <= trainer.max_steps <= trainer.global_step  # a continued run would find nothing left to do
        if self._agreed and not at_its_end:
            self._checkpoint.save(trainer)
            raise TerminatedError(self._agreed)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signum

    def _give_back(self) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._handlers = {}
