"""Early stopping that is off until it is given a patience."""

import sys
from typing import Literal

from lightning.pytorch import LightningModule, Trainer, callbacks
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.training_protocols import pretrains
from callbacks.unfreezing import Unfreezing


class EarlyStopping(callbacks.EarlyStopping):
    """Stops a run whose monitored metric has not improved for a while.

    Where a model is trained in phases, only the last is watched: the others are as long as they were told to be. And
    where blocks are unfrozen one after the other, only what follows the last of them.

    Args:
        monitor: logged metric that is watched; never one of the test part or of pretraining.
        mode: whether a small (`min`) or a large (`max`) value is good.
        patience: validations without improvement before the run stops; never stops if not given.
        min_delta: smallest change that counts as an improvement.
    """

    def __init__(
        self,
        monitor: str = "val/total",
        mode: Literal["min", "max"] = "min",
        patience: int | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if monitor.startswith("test/"):
            raise ValueError(f"early_stopping.monitor is {monitor!r}: a run is never steered by test data")
        if monitor.startswith("pretrain/"):
            raise ValueError(f"early_stopping.monitor is {monitor!r}: pretraining is never cut short, choose val/...")
        stops = patience is not None
        if not stops and (monitor, mode, min_delta) != ("val/total", "min", 0.0):
            rank_zero_warn("early_stopping has no effect without a patience: set early_stopping.patience")
        limit = sys.maxsize if patience is None else patience
        super().__init__(monitor, min_delta, limit, mode=mode, strict=stops, check_finite=stops)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the metric where it follows the epochs, once it is logged."""
        if self._watches(trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the metric where it follows the validations, once it is logged."""
        if self._watches(trainer, pl_module):
            super().on_validation_end(trainer, pl_module)

    def _watches(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        waits = any(isinstance(one, Unfreezing) and one.waits for one in vars(trainer)["callbacks"])
        return not pretrains(pl_module) and not waits
