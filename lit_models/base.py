"""What every technique needs, and no more."""

import inspect
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, Protocol, Self, runtime_checkable

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lit_models.schedules import WarmupCosine
from metrics import ExampleMean
from networks import FreshNoise, ImageShape, KeyedNoise, Noise

EncoderFactory = Callable[[ImageShape, int], nn.Module]
DecoderFactory = Callable[[int, ImageShape], nn.Module]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]

_PLAIN = (bool, int, float, str, list, dict, type(None))

if not torch.cuda.is_available():
    # Lightning sets it. PyTorch's optimizers ask for a GPU at every step, and would search the disk for its driver.
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


class Images(Protocol):
    """A batch with images; labels, where it has any, are no business of an unsupervised technique."""

    @property
    def image(self) -> Tensor:
        """float32 (B, C, H, W) in [0, 1]."""

    @property
    def index(self) -> Tensor:
        """int64 (B,), position of each image in its part of the data."""


@runtime_checkable
class TrainingImages(Protocol):
    """Data that can hand over its training images, for what is fitted to them outside the training loop."""

    def training_images(self) -> Iterator[Tensor]:
        """The training images, (B, C, H, W) float32 in [0, 1]."""


class Technique(LightningModule):
    """Builds the optimizer, logs the named terms of a loss, counts training batches.

    A technique implements `loss(batch)`, which returns a NamedTuple whose first field is `total`.

    Args:
        optimizer: makes the optimizer from the parameters; Adam with its own defaults if not given.
        scheduler: makes a learning-rate scheduler from the optimizer.
        scheduler_interval: whether the scheduler steps after every `epoch` or every `step`.
    """

    batch_step: Tensor
    _given: set[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note which arguments were given: the hyper-parameters that Lightning collects lack some of them."""
        module = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(module, *args, **kwargs)
        module._given = {name for name, value in bound.arguments.items() if value is not None} - {"self"}
        return module

    def __init__(
        self,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__()
        if scheduler_interval not in ("epoch", "step"):
            raise ValueError(f"scheduler_interval is {scheduler_interval!r}: choose epoch or step")
        with warnings.catch_warnings():
            # modules among the arguments: `on_save_checkpoint` leaves them out
            warnings.filterwarnings("ignore", message=".*is an instance of `nn.Module`")
            self.save_hyperparameters(logger=False)
        self._make_optimizer = optimizer or Adam
        self._make_scheduler = scheduler
        self._scheduler_interval = scheduler_interval
        self._means = nn.ModuleDict()
        # training batches seen; Lightning's global_step counts the steps of every optimizer instead
        self.register_buffer("batch_step", torch.zeros((), dtype=torch.int64))

    def __setattr__(self, name: str, value: Any) -> None:
        """Note an attribute; the one that Lightning sets forty times a step without the checks of `nn.Module`."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @abstractmethod
    def loss(self, batch: Any) -> Any:
        """Named terms of the loss of one batch, `total` first; each a scalar, a mean over the batch."""
        raise NotImplementedError

    def noise(self, batch: Images) -> Noise:
        """Fresh random numbers in training; in evaluation the same ones for an example every time."""
        return FreshNoise(batch.index) if self.training else KeyedNoise(batch.index)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Log the terms of the loss, count the batch, and return the total."""
        terms = self.loss(batch)
        self.log_terms("train", terms, batch)
        self.batch_step += 1
        total: Tensor = terms.total
        return total

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the terms of the loss as means over the validation part."""
        self.log_terms("val", self.loss(batch), batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the terms of the loss as means over the test part."""
        self.log_terms("test", self.loss(batch), batch)

    def log_terms(self, stage: Literal["train", "val", "test"], terms: NamedTuple, batch: Any) -> None:
        """Log each term as `<stage>/<name>`.

        Training terms are logged only on the batches that the loggers write (a call costs about
        280 microseconds a key whether written or not); others as means weighted by batch size.
        """
        names = {f"{stage}/{name}": value for name, value in terms._asdict().items()}
        if stage != "train":
            self.log_means(names, batch)
        elif self.logs_now:
            self.log_dict(names, on_step=True, on_epoch=False, prog_bar=True, sync_dist=True)

    @property
    def logs_now(self) -> bool:
        """Whether this training batch is one of those that the loggers write."""
        return self.trainer._logger_connector.should_update_logs

    def log_means(self, means: dict[str, Tensor], batch: Any) -> None:
        """Log means over a batch as means over the whole part, each example counting once.

        See `ExampleMean` for why not by Lightning's own averaging.
        """
        for name, value in means.items():
            key = name.replace("/", "_")
            if key not in self._means:
                self._means[key] = ExampleMean().to(self.device)
            mean = self._means[key]
            assert isinstance(mean, ExampleMean)
            mean.update(value, len(batch[0]))
            self.log(name, mean, on_step=False, on_epoch=True, metric_attribute=f"_means.{key}")

    def configure_optimizers(self) -> Any:
        """Build the optimizer and the scheduler from their factories."""
        optimizer = self._make_optimizer(self.parameters())
        if self._make_scheduler is None:
            return optimizer
        scheduler = self._make_scheduler(optimizer)
        if isinstance(scheduler, WarmupCosine):
            if self._scheduler_interval != "step":
                raise ValueError("scheduler_interval is 'epoch': WarmupCosine counts steps, set it to step")
            scheduler.start(self.trainer.estimated_stepping_batches)
        schedule: dict[str, Any] = {"scheduler": scheduler, "interval": self._scheduler_interval}
        if isinstance(scheduler, ReduceLROnPlateau):
            schedule["monitor"] = "val/total"
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only plain values among the hyper-parameters, so that a checkpoint holds data and no code.

        A model that the CLI built has nothing else: its factories are still their configuration.
        """
        saved = {
            # a shape is a tuple with names, which is a class and so code
            name: tuple(value) if isinstance(value, tuple) else value
            for name, value in checkpoint.get("hyper_parameters", {}).items()
            if isinstance(value, tuple) or type(value) in _PLAIN
        }
        checkpoint["hyper_parameters"] = saved
        checkpoint["arguments_in_code"] = sorted(self._given - saved.keys())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to stand in a default for an argument that only code can give again.

        Raises:
            ValueError: naming the arguments to pass to `load_from_checkpoint`.
        """
        if missing := [name for name in checkpoint.get("arguments_in_code", []) if name not in self._given]:
            arguments = ", ".join(f"{name}=..." for name in missing)
            raise ValueError(f"the model was built in Python with its own {', '.join(missing)}: pass {arguments} again")
