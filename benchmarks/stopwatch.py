"""Times a training from within."""

import json
import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from callbacks.first_batch import fields


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
        self._samples += len(next(iter(fields(batch).values())))
        if self._is_first:
            self._is_first = False
            print(f"first {time.time()}", flush=True)
        if batch_idx + 1 == trainer.num_training_batches:
            print(f"timed {self._samples} {time.perf_counter() - self._start}", flush=True)


class FitSeconds(Callback):
    """Writes `fit_seconds.json` into the run's folder: CPU seconds of this process from the start of fit to its end.

    Loading the data is not among them; computing features, validating and saving are. A continued run goes on counting.
    """

    FILE = "fit_seconds.json"

    def __init__(self) -> None:
        self._start = 0.0
        self._before = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start."""
        self._start = time.process_time()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, and write."""
        (Path(trainer.default_root_dir) / self.FILE).write_text(json.dumps(self.state_dict()) + "\n")

    def state_dict(self) -> dict[str, float]:
        """The seconds so far."""
        return {"seconds": round(self._before + time.process_time() - self._start, 2)}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from the seconds of a checkpoint."""
        self._before = state_dict["seconds"]
