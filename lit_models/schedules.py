"""Learning-rate schedules over the length of the run, which no configuration has to repeat."""

import math
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupCosine(LRScheduler):
    """Rises linearly to the optimizer's own rate, then falls along half a cosine until the run's last step.

    The model that builds it calls `start` with the number of steps; use it with `scheduler_interval: step`.

    Args:
        optimizer: whose rate is scheduled; supplied by the model.
        warmup: share of the run in which the rate rises, in [0, 1).
        floor: rate at the end, as a share of the optimizer's own.
    """

    def __init__(self, optimizer: Optimizer, warmup: float = 0.05, floor: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup is {warmup}: give a share of the run, at least 0 and below 1")
        if floor < 0:
            raise ValueError(f"floor is {floor}: a learning rate cannot be negative")
        self.warmup = warmup
        self.floor = floor
        self._total_steps = 1
        super().__init__(optimizer)

    def start(self, total_steps: float) -> None:
        """Set the length of the run in optimizer steps.

        Raises:
            ValueError: if the run has no end.
        """
        if math.isinf(total_steps):
            raise ValueError("WarmupCosine needs a run with an end: set trainer.max_epochs or trainer.max_steps")
        self._total_steps = max(1, int(total_steps))
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate

    def get_lr(self) -> list[float | Tensor]:
        """Rate of each parameter group at the current step."""
        warm = self.warmup * self._total_steps
        step = self.last_epoch + 1
        if step < warm:
            factor = step / warm
        else:
            progress = min(1.0, (step - warm) / max(1.0, self._total_steps - warm))
            factor = self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))
        return [float(rate) * factor for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the length of the run, which a continued run may change."""
        return {name: value for name, value in super().state_dict().items() if name != "_total_steps"}
