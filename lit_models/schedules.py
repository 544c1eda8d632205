"""Learning-rate schedules over the length of the run, which no configuration has to repeat."""

import math
from abc import abstractmethod
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class RunSchedule(LRScheduler):
    """A schedule over the length of the run; use it with `scheduler_interval: step`.

    The model that builds it calls `start` with the number of steps.

    Args:
        optimizer: whose rate is scheduled; supplied by the model.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._total_steps = 1
        super().__init__(optimizer)

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """Rate in a step, from 1 on, as a share of the optimizer's own."""

    def start(self, total_steps: float) -> None:
        """Set the length of the run in optimizer steps.

        Raises:
            ValueError: if the run has no end.
        """
        self._total_steps = max(1, finite_length(total_steps, type(self).__name__))
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate

    def get_lr(self) -> list[float | Tensor]:
        """Rate of each parameter group at the current step."""
        factor = self.factor(self.last_epoch + 1, self._total_steps)
        return [float(rate) * factor for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the length of the run, which a continued run may change."""
        return {name: value for name, value in super().state_dict().items() if name != "_total_steps"}


def finite_length(steps: float, needed_by: str) -> int:
    """Length of a run in steps, for what depends on it.

    Raises:
        ValueError: if the run has no end.
    """
    if math.isinf(steps):
        raise ValueError(f"{needed_by} needs a run with an end: set trainer.max_epochs or trainer.max_steps")
    return int(steps)


class WarmupCosine(RunSchedule):
    """Rises linearly to the optimizer's own rate, then falls along half a cosine until the run's last step.

    Args:
        optimizer: see `RunSchedule`.
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
        super().__init__(optimizer)

    def factor(self, step: int, total_steps: int) -> float:
        """Rate in a step, from 1 on, as a share of the optimizer's own."""
        warm = self.warmup * total_steps
        if step < warm:
            return step / warm
        progress = min(1.0, (step - warm) / max(1.0, total_steps - warm))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))


class InverseDecay(RunSchedule):
    """Falls as 1 / (1 + alpha p)^beta, where p goes from 0 to 1 over the run.

    Source: Ganin et al., "Domain-Adversarial Training of Neural Networks" (JMLR 2016), section 5.2.2.

    Args:
        optimizer: see `RunSchedule`.
        alpha: how far it falls.
        beta: how fast.
    """

    def __init__(self, optimizer: Optimizer, alpha: float = 10.0, beta: float = 0.75) -> None:
        if alpha < 0:
            raise ValueError(f"alpha is {alpha}: choose 0 for a constant rate, or more")
        if beta < 0:
            raise ValueError(f"beta is {beta}: choose 0 for a constant rate, or more")
        self.alpha = alpha
        self.beta = beta
        super().__init__(optimizer)

    def factor(self, step: int, total_steps: int) -> float:
        """Rate in a step, from 1 on, as a share of the optimizer's own."""
        progress = min(1.0, (step - 1) / total_steps)
        return float((1 + self.alpha * progress) ** -self.beta)


class InverseSquareRoot(RunSchedule):
    """Rises linearly to the optimizer's own rate, then falls with the inverse square root of the step.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 5.3, with the highest rate given instead of
    following from the width of the model.

    Args:
        optimizer: see `RunSchedule`.
        warmup_steps: in which the rate rises; at the last of them it is the optimizer's own.
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int = 4000) -> None:
        if warmup_steps < 1:
            raise ValueError(f"warmup_steps is {warmup_steps}: choose 1 or more")
        self.warmup_steps = warmup_steps
        super().__init__(optimizer)

    def start(self, total_steps: float) -> None:
        """Nothing depends on the length of the run, which may be without end."""
        super().start(self.warmup_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Rate in a step, from 1 on, as a share of the optimizer's own."""
        return min(step / self.warmup_steps, math.sqrt(self.warmup_steps / step))
