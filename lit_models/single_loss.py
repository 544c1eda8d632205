"""What techniques need that minimise one loss."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lit_models.base import OptimizerFactory, SchedulerFactory, Technique
from lit_models.schedules import RunSchedule


class SingleLossTechnique(Technique):
    """Builds the optimizer of all parameters, and trains and evaluates with one loss.

    A technique implements `loss(batch)`, which returns a NamedTuple whose first field is `total`.

    Args:
        optimizer: makes the optimizer from the parameters; Adam with its own defaults if not given.
        scheduler: makes a learning-rate scheduler from the optimizer.
        scheduler_interval: whether the scheduler steps after every `epoch` or every `step`.
    """

    def __init__(
        self,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__()
        if scheduler_interval not in ("epoch", "step"):
            raise ValueError(f"scheduler_interval is {scheduler_interval!r}: choose epoch or step")
        self._make_optimizer = optimizer or Adam
        self._make_scheduler = scheduler
        self._scheduler_interval = scheduler_interval

    @abstractmethod
    def loss(self, batch: Any) -> Any:
        """Named terms of the loss of one batch, `total` first; each a scalar, a mean over the batch."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Log the terms of the loss, count the batch, and return the total."""
        terms = self.loss(batch)
        self.log_terms("train", terms, batch)
        self.batch_step += 1
        total: Tensor = terms.total
        return total

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor] | None:
        """Log the terms of the loss as means over the validation part."""
        self.log_terms("val", self.loss(batch), batch)
        return None

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor] | None:
        """Log the terms of the loss as means over the test part."""
        self.log_terms("test", self.loss(batch), batch)
        return None

    def trained_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that the optimizer gets: all of them."""
        return self.parameters()

    @property
    def steps_to_schedule(self) -> float:
        """Steps of the optimizer from the schedule's first to its last: those of the whole run."""
        return self.trainer.estimated_stepping_batches

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer from its factory."""
        return self._make_optimizer(self.trained_parameters())

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as the Trainer says, in bfloat16 also the gradients of a fused optimizer.

        Lightning refuses that in all mixed precision, for the sake of float16: there a fused optimizer divides by the
        scale of the loss in its own step, after the clipping. In bfloat16 losses have no scale.
        """
        precision = self.trainer.precision_plugin
        if isinstance(precision, MixedPrecision) and precision.scaler is None and gradient_clip_val is not None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(precision, optimizer, gradient_clip_val, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """Build the optimizer and the scheduler from their factories."""
        optimizer = self.make_optimizer()
        if self._make_scheduler is None:
            return optimizer
        scheduler = self._make_scheduler(optimizer)
        if isinstance(scheduler, RunSchedule):
            if self._scheduler_interval != "step":
                kind = type(scheduler).__name__
                raise ValueError(f"scheduler_interval is 'epoch': {kind} counts steps, set it to step")
            scheduler.start(self.steps_to_schedule)
        schedule: dict[str, Any] = {"scheduler": scheduler, "interval": self._scheduler_interval}
        if isinstance(scheduler, ReduceLROnPlateau):
            schedule["monitor"] = "val/total"
        return {"optimizer": optimizer, "lr_scheduler": schedule}
