"""Times a training from within."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Stopwatch(Callback):
    """Prints when the first step was done, and the samples and seconds of each epoch's training."""

    def __init__(self) -> None:
        self._samples = 0
        self._start = 0.0
        self._is_first = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start, before the first batch is fetched."""
        self._samples, self._start = 0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and stop at the last batch, before validation."""
        self._samples += len(batch.image)
        if self._is_first:
            self._is_first = False
            print(f"first {time.time()}", flush=True)
        if batch_idx + 1 == trainer.num_training_batches:
            print(f"timed {self._samples} {time.perf_counter() - self._start}", flush=True)
