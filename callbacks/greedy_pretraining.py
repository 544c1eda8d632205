"""The first epochs of a run as pretraining, one layer after the other."""

import sys
import warnings
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.types import LRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from callbacks.checkpoint import copy_durably
from callbacks.encoding import encoded, joined
from callbacks.training_protocols import LayerWise, TrainingSet

READOUT, FINE_TUNING = "readout", "fine_tuning"
_REFERENCE = 1000  # training images that a phase is compared on

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


class _Phase(NamedTuple):
    name: str
    epochs: int | None  # None for all that are left
    learning_rate: float | None


class GreedyPretraining(Callback):
    """Turns the first epochs of a run into phases, each of which trains one layer on the codes of those below.

    After the layers there may be a phase for the head alone, on frozen features; what is left of
    `trainer.max_epochs` trains the whole. All are ordinary epochs of the one Trainer, so that logging, precision,
    several processes, checkpoints and resumption are as ever. A phase begins with a fresh optimizer; the layers that it
    does not train are frozen and in eval mode. The phase is in the checkpoint, and in the names of its metrics:
    `pretrain/layer1/loss`, `pretrain/layer1/val_reconstruction` and so on, and `pretrain/readout/accuracy`. When
    training of the whole begins, the checkpoint of before is kept as `pretrained.ckpt`.

    Without epochs the whole is trained from the start.

    Args:
        epochs: of each layer, one number for all or one for each.
        learning_rate: of each layer, one number for all or one for each; the optimizer's own if not given.
        optimizer: makes the optimizer of a layer from its parameters; Adam if not given.
        scheduler: makes the learning-rate schedule of a layer from its optimizer; it steps after each of its epochs.
        readout_epochs: of the head alone, with the model's own optimizer at a constant rate.
        limit_epochs: most epochs of any phase before the last; for trials.
        cache_gb: most memory, in 10^9 bytes, that the codes of all training images may take, which are computed once a
            phase then, and not for every batch. Images that are augmented have new codes each time, and no cache.

    Raises:
        ValueError: if an argument is impossible, the model has no layers to pretrain, or the run too few epochs.
    """

    def __init__(
        self,
        epochs: int | list[int] = 0,
        learning_rate: float | list[float] | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        readout_epochs: int = 0,
        limit_epochs: int | None = None,
        cache_gb: float = 1.0,
    ) -> None:
        lowest = min(epochs, default=0) if isinstance(epochs, list) else epochs
        if lowest < 0:
            raise ValueError(f"pretraining.epochs is {epochs}: a layer cannot have fewer than 0")
        if readout_epochs < 0:
            raise ValueError(f"pretraining.readout_epochs is {readout_epochs}: choose 0 or more")
        if limit_epochs is not None and limit_epochs < 1:
            raise ValueError(f"pretraining.limit_epochs is {limit_epochs}: choose 1 or more")
        if cache_gb < 0:
            raise ValueError(f"pretraining.cache_gb is {cache_gb}: choose 0 for no cache, or more")
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.readout_epochs = readout_epochs
        self.limit_epochs = limit_epochs
        self.cache_gb = cache_gb
        self._make_optimizer = optimizer or Adam
        self._make_scheduler = scheduler
        self._plan: list[_Phase] = []
        self._place = 0
        self._began = {"epoch": 0, "step": 0}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the plan, before anything is loaded and the model is spread over processes."""
        self._plan = []
        if stage != "fit":
            return
        if isinstance(pl_module, LayerWise):
            self._plan = self._phases(len(pl_module.layers))
        elif self.epochs or self.readout_epochs:
            name, value = ("epochs", self.epochs) if self.epochs else ("readout_epochs", self.readout_epochs)
            raise ValueError(
                f"pretraining.{name} is {value}: {type(pl_module).__name__} has no layers to pretrain, leave it out or "
                "choose a model that has, such as StackedClassifier"
            )
        self._place, self._began = 0, {"epoch": 0, "step": 0}
        needed = self._needed
        if trainer.max_epochs is not None and 0 <= trainer.max_epochs < sum(needed):
            raise ValueError(
                f"trainer.max_epochs is {trainer.max_epochs}: pretraining takes {' + '.join(map(str, needed))} epochs, "
                f"give more than {sum(needed)}, or lower pretraining.epochs"
            )
        if needed:
            pl_module.requires_grad_(True)
        if needed and isinstance(trainer.strategy, DDPStrategy):
            trainer.strategy._ddp_kwargs["find_unused_parameters"] = True  # those of the other phases

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, or go on with, the phase at hand: its optimizer's state is restored after this."""
        if self._plan:
            self._enter(trainer, pl_module)
            warnings.filterwarnings("ignore", message=".*in eval mode at the start of training")  # those are frozen

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on to the next phase if this one is done."""
        epochs = self._plan[self._place].epochs if self._plan else None
        if epochs is None or trainer.current_epoch - self._began["epoch"] < epochs:
            return
        trainer.progress_bar_metrics.clear()  # those of the phase that is over
        _layer_wise(pl_module).take_over()
        self._place += 1
        self._began = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self._enter(trainer, pl_module)
        if self._plan[self._place].epochs is None:
            _keep_checkpoint(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so if the run ended before the whole was trained, and not because its epochs were over.

        Warns:
            UserWarning: naming the phase.
        """
        phase = self._plan[self._place] if self._plan else None
        if phase and phase.epochs and trainer.max_epochs != sum(self._needed) and not trainer.should_stop:
            rank_zero_warn(
                f"training ended in the phase {phase.name}, before that of the whole: raise trainer.max_steps or "
                "trainer.max_time"
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave a model that is like any other."""
        if self._plan:
            _layer_wise(pl_module).enter(None)

    def state_dict(self) -> dict[str, Any]:
        """The phase, and the epoch and step in which it began."""
        return {"phase": self._plan[self._place].name, **self._began} if self._plan else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on in the phase of a checkpoint.

        Raises:
            ValueError: if this run has no such phase.
        """
        names = [phase.name for phase in self._plan]
        if names and state_dict["phase"] not in names:
            raise ValueError(
                f"pretraining.epochs is {self.epochs}: the checkpoint was made in the phase {state_dict['phase']}, "
                "which has none"
            )
        self._place = names.index(state_dict["phase"]) if names else 0
        self._began = {"epoch": state_dict["epoch"], "step": state_dict["step"]}

    @property
    def _needed(self) -> list[int]:
        return [phase.epochs for phase in self._plan if phase.epochs]

    def _phases(self, layers: int) -> list[_Phase]:
        epochs = _for_each("epochs", self.epochs, layers)
        rates: list[Any] = _for_each("learning_rate", self.learning_rate, layers)
        phases = [
            *(_Phase(f"layer{place}", *both) for place, both in enumerate(zip(epochs, rates, strict=True), 1)),
            _Phase(READOUT, self.readout_epochs, None),
        ]
        limit = self.limit_epochs or sys.maxsize
        return [
            *(phase._replace(epochs=min(phase.epochs, limit)) for phase in phases if phase.epochs),
            _Phase(FINE_TUNING, None, None),
        ]

    def _enter(self, trainer: Trainer, pl_module: LightningModule) -> None:
        phase, model = self._plan[self._place], _layer_wise(pl_module)
        trained = model.enter(phase.name, self._began["step"])
        if phase.name != FINE_TUNING:
            model.codes, model.reference = self._codes(trainer, model)
        if phase.name in (READOUT, FINE_TUNING):
            trainer.strategy.setup_optimizers(trainer)
            return
        optimizer = self._make_optimizer(trained)
        if phase.learning_rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = phase.learning_rate
        trainer.strategy.optimizers = [optimizer]
        schedulers = [self._make_scheduler(optimizer)] if self._make_scheduler else []
        if any(isinstance(scheduler, ReduceLROnPlateau) for scheduler in schedulers):
            raise ValueError("pretraining.scheduler is ReduceLROnPlateau: take one that depends on the epoch alone")
        trainer.strategy.lr_scheduler_configs = [LRSchedulerConfig(scheduler) for scheduler in schedulers]

    def _codes(self, trainer: Trainer, model: LayerWise) -> tuple[Tensor | None, Tensor | None]:
        """The phase's input for all training images if it may be kept, and for the first of them."""
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, TrainingSet):
            return None, None
        codes = encoded(trainer, model.phase_input, data.training_images())
        first = next(codes)
        keeps = data.augmentation is None and model.phase != "layer1"  # which is trained on the images themselves
        return joined(chain([first], codes), self.cache_gb) if keeps else None, first[:_REFERENCE]


def _for_each(name: str, values: Any, layers: int) -> list[Any]:
    if not isinstance(values, list):
        return [values] * layers
    if len(values) != layers:
        raise ValueError(
            f"pretraining.{name} is {values}: the model has {layers} layers, give one number for all or {layers}"
        )
    return values


def _layer_wise(model: LightningModule) -> LayerWise:
    assert isinstance(model, LayerWise)
    return model


def _keep_checkpoint(trainer: Trainer) -> None:
    """Keep the newest checkpoint, which was made at the end of pretraining."""
    last = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
    if trainer.is_global_zero and last.exists():
        copy_durably(last, last.with_name("pretrained.ckpt"))
