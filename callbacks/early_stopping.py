"""Early stopping that is off until it is given a patience."""

import sys
from typing import Literal

from lightning.pytorch import callbacks
from lightning.pytorch.utilities import rank_zero_warn


class EarlyStopping(callbacks.EarlyStopping):
    """Stops a run whose monitored metric has not improved for a while.

    Args:
        monitor: logged metric that is watched; never one of the test part.
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
        stops = patience is not None
        if not stops and (monitor, mode, min_delta) != ("val/total", "min", 0.0):
            rank_zero_warn("early_stopping has no effect without a patience: set early_stopping.patience")
        limit = sys.maxsize if patience is None else patience
        super().__init__(monitor, min_delta, limit, mode=mode, strict=stops, check_finite=stops)
