"""How fast a run trains, and how much of that time it waits for data."""

from time import perf_counter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from callbacks.first_batch import fields


class Throughput(Callback):
    """Logs the speed of training on every batch that the loggers write, each time over all batches since the last.

    - ``speed/samples_per_s``: examples of all processes in a second of training. Validation, and what is done at the
      end of an epoch, are not counted; a batch has as many examples as the first tensor in it has rows, so that of a
      batch of two domains only the source's are counted.
    - ``speed/tokens_per_s``: the same of the batches' ``tokens``, where they have that number
    - ``speed/data_wait``: share of that time, in [0, 1], that this process spent in the loader's ``next``
    - ``speed/device_memory_gb``: most memory that tensors took on this process's GPU, in 10^9 bytes; only on CUDA

    It reads the host's clock and waits for no device and no other process. The rates hold on a GPU too: a host that
    runs ahead of it is held up where the loggers read what it computed.
    """

    def __init__(self) -> None:
        self._counting_from: float | None = None
        self._fetch_began = 0.0
        self._reset()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts anew, and times every fetch of a batch from now on."""
        self._reset()
        # Lightning calls these around the loader's `next` for its profiler, which they go on to call
        loop = trainer.fit_loop.epoch_loop
        loop._on_before_fetch = lambda: self._before_fetch(loop)  # type: ignore[method-assign]
        loop._on_after_fetch = lambda: self._after_fetch(loop)  # type: ignore[method-assign]
        self._counting_from = perf_counter()  # an epoch that is entered midway has no `on_train_epoch_start`

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts time from here: the epoch before ended with its last batch."""
        self._counting_from = perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts time from the next fetch, if the epoch goes on: other callbacks still have to do their part."""
        self._counting_from = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the batch, and logs if the loggers are about to write."""
        now = perf_counter()
        assert self._counting_from is not None
        self._seconds += now - self._counting_from
        self._counting_from = now
        self._samples += next((len(tensor) for tensor in fields(batch).values() if tensor.ndim), 1)
        if isinstance(tokens := getattr(batch, "tokens", None), int):
            self._tokens += tokens
        # while gradients accumulate, every batch of the step is due, and only the last is written
        if trainer._logger_connector.should_update_logs and not trainer.fit_loop._should_accumulate():
            pl_module.log_dict(self._report(trainer, pl_module.device), on_step=True, on_epoch=False, prog_bar=True)
            self._reset()

    def _report(self, trainer: Trainer, device: torch.device) -> dict[str, float]:
        speed = {
            "speed/samples_per_s": self._samples * trainer.world_size / self._seconds,
            "speed/data_wait": self._waited / self._seconds,
        }
        if self._tokens:
            speed["speed/tokens_per_s"] = self._tokens * trainer.world_size / self._seconds
        if device.type == "cuda":
            speed["speed/device_memory_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
            torch.cuda.reset_peak_memory_stats(device)
        return speed

    def _reset(self) -> None:
        self._seconds = self._waited = 0.0
        self._samples = self._tokens = 0

    def _before_fetch(self, loop: _TrainingEpochLoop) -> None:
        _TrainingEpochLoop._on_before_fetch(loop)
        self._fetch_began = perf_counter()
        if self._counting_from is None:
            self._counting_from = self._fetch_began

    def _after_fetch(self, loop: _TrainingEpochLoop) -> None:
        self._waited += perf_counter() - self._fetch_began
        _TrainingEpochLoop._on_after_fetch(loop)
