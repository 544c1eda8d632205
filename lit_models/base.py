"""What every technique needs, and no more."""

import inspect
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self, runtime_checkable

import torch
import torch.distributed as dist
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from metrics import ExampleMean
from networks import FreshNoise, ImageShape, KeyedNoise, Noise

EncoderFactory = Callable[[ImageShape, int], nn.Module]
DecoderFactory = Callable[[int, ImageShape], nn.Module]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]

_PLAIN = (bool, int, float, str, type(None))

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


class PretrainedPart(NamedTuple):
    """The part of a technique that another model can go on with.

    Attributes:
        name: of the attribute that holds the network.
        headless: whether the network gives features, and its last layer no classes or codes.
    """

    name: str
    headless: bool = False


def label_and_index(batch: Any) -> dict[str, Tensor]:
    """What a prediction repeats of its batch: the label of each example where known, and its position in the data."""
    return {name: value for name, value in batch._asdict().items() if name in ("label", "index")}


class Technique(LightningModule):
    """Logs the named terms of losses, counts training batches, and keeps checkpoints free of code.

    Those with one loss derive from `SingleLossTechnique`, those whose networks take turns from `AlternatingTechnique`.
    A technique whose network others can go on with says where it is, as `pretrained_part`.
    """

    pretrained_part: ClassVar[PretrainedPart | None] = None
    batch_step: Tensor
    _given: set[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note which arguments were given: the hyper-parameters that Lightning collects lack some of them."""
        module = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(module, *args, **kwargs)
        given = {**bound.arguments, **bound.arguments.get("kwargs", {})}
        module._given = {name for name, value in given.items() if value is not None} - {"self", "kwargs"}
        return module

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # modules among the arguments: `on_save_checkpoint` leaves them out
            warnings.filterwarnings("ignore", message=".*is an instance of `nn.Module`")
            self.save_hyperparameters(logger=False)
        self._means = nn.ModuleDict()
        # training batches seen; Lightning's global_step counts the steps of optimizers instead
        self.register_buffer("batch_step", torch.zeros((), dtype=torch.int64))

    def __setattr__(self, name: str, value: Any) -> None:
        """Note an attribute; the one that Lightning sets forty times a step without the checks of `nn.Module`."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @abstractmethod
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Take a step on a batch, log its terms, and count it in `batch_step`."""

    def noise(self, batch: Images) -> Noise:
        """Fresh random numbers in training; in evaluation the same ones for an example every time."""
        return FreshNoise(batch.index) if self.training else KeyedNoise(batch.index)

    def log_terms(self, stage: Literal["train", "val", "test"], terms: NamedTuple, batch: Any) -> None:
        """Log each term as `<stage>/<name>`: in training as `log_training`, else as means over the part."""
        if stage == "train":
            self.log_training(terms._asdict(), stage)
        else:
            self.log_means({f"{stage}/{name}": value for name, value in terms._asdict().items()}, batch)

    def log_training(self, terms: Mapping[str, Tensor], stage: str = "train") -> None:
        """Log terms of a training batch as `<stage>/<name>`, on the batches that the loggers write.

        A call costs about 280 microseconds a key, whether it is written or not.
        """
        if self.logs_now:
            named = {f"{stage}/{name}": value for name, value in terms.items()}
            self.log_dict(named, on_step=True, on_epoch=False, prog_bar=True, sync_dist=True)

    @property
    def logs_now(self) -> bool:
        """Whether this training batch is one of those that the loggers write."""
        return self.trainer._logger_connector.should_update_logs

    def log_means(
        self,
        means: dict[str, Tensor],
        batch: Any,
        count: int | Tensor | None = None,
        kind: type[ExampleMean] = ExampleMean,
    ) -> None:
        """Log means over a batch as means over the whole part, each example counting once.

        See `ExampleMean` for why not by Lightning's own averaging. What the means are taken over, if not the examples,
        is a `count` of other things, such as tokens, and a subclass of `ExampleMean` may show the mean as it likes.
        """
        for name, value in means.items():
            key = name.replace("/", "_")
            if key not in self._means:
                self._means[key] = kind().to(self.device)
            mean = self._means[key]
            assert isinstance(mean, ExampleMean)
            mean.update(value, len(batch[0]) if count is None else count)
            metric: dict[str, Any] = {"metric_attribute": f"_means.{key}", "add_dataloader_idx": False}
            self.log(name, mean, on_step=False, on_epoch=True, **metric)

    def gather(self, x: Tensor) -> Tensor:
        """Rows of a batch of all processes, with their gradient, (B, ...) -> (processes * B, ...).

        They come in the order in which one process would have them that had the whole batch: this process has every
        n-th of them, as the samplers deal them out. Each process gets the gradients of the losses of all; their mean,
        which DDP takes, is the gradient of one process.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return x
        gathered = self.all_gather(x, sync_grads=True)  # (processes, B, ...), or x of a strategy for one
        assert isinstance(gathered, Tensor)
        return gathered.view(-1, *x.shape).transpose(0, 1).reshape(-1, *x.shape[1:])

    def mean_over_processes(self, mean: Tensor) -> Tensor:
        """Mean over all processes of one over this process's part of a batch, (D,), with its gradient."""
        return self.gather(mean.unsqueeze(0)).mean(0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only plain values among the hyper-parameters, so that a checkpoint holds data and no code.

        A model that the CLI built has nothing else: its factories are still their configuration. The CLI also links
        what the model does not take, with which it could not be built again.
        """
        makers = [vars(kind)["__init__"] for kind in type(self).__mro__ if "__init__" in vars(kind)]
        taken = {name for maker in makers for name in inspect.signature(maker).parameters}
        saved = {
            # a shape is a tuple with names, which is a class and so code
            name: tuple(value) if isinstance(value, tuple) else value
            for name, value in checkpoint.get("hyper_parameters", {}).items()
            if (isinstance(value, tuple) or _is_plain(value)) and (name in taken or name.startswith("_"))
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


def _is_plain(value: Any) -> bool:
    if type(value) in (list, dict):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return type(value) in _PLAIN
