"""Which blocks of a pretrained backbone are trained, and from which epoch on."""

import warnings
from itertools import pairwise
from typing import Any, Literal, get_args

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from callbacks.encoding import encoded, joined
from callbacks.training_protocols import FineTunable, ImageParts
from networks import FeatureCache

Strategy = Literal["full", "frozen", "last_blocks", "gradual", "linear_probe_then_finetune"]

_NEEDED = {"last_blocks": "blocks", "gradual": "schedule", "linear_probe_then_finetune": "probe_epochs"}
_CACHE_GB = 1.0


class Unfreezing(Callback):
    """Trains the head and some blocks of a model's backbone, and freezes the rest.

    What is frozen has no gradients and is in eval mode, also after a validation: the running statistics of its batch
    normalisation stay, and are what it normalises with. Which blocks are trained is a function of the epoch alone, so
    that a resumed run trains what the unbroken one would. The optimizer has every parameter from the start, and a
    frozen one, which has no gradient, is not touched by it.

    While the whole backbone is frozen, the codes of the training and of the validation images are computed once and
    kept, unless images are augmented or mixed. Steps are then as fast as the head. The model is the same but for
    rounding, which may depend on how many images are computed at once.

    After a fit the model is as its last epoch left it. A model without blocks is left alone by the strategy `full`.

    Sources: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), for `gradual`;
    Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution" (2022), for
    `linear_probe_then_finetune`.

    Args:
        strategy: `full` trains everything; `frozen` the head alone; `last_blocks` the highest `blocks` as well;
            `gradual` one block more at each epoch of `schedule`, from the head downwards;
            `linear_probe_then_finetune` the head alone for `probe_epochs`, then everything.
        blocks: how many, for `last_blocks`.
        schedule: epochs from 0, in ascending order, for `gradual`; one that stands there twice unfreezes two blocks.
        probe_epochs: of the head alone, for `linear_probe_then_finetune`.
        limit_epochs: most epochs before the next blocks are unfrozen; for trials.
        cache_gb: most memory, in 10^9 bytes, that the codes of the training or of the validation images may take; 1 if
            not given, and 0 for no cache.

    Raises:
        ValueError: if an argument is impossible, missing, or not one of the strategy, the model has no blocks or too
            few of them, or the run too few epochs.
    """

    def __init__(
        self,
        strategy: Strategy = "full",
        blocks: int | None = None,
        schedule: list[int] | None = None,
        probe_epochs: int | None = None,
        limit_epochs: int | None = None,
        cache_gb: float | None = None,
    ) -> None:
        if strategy not in get_args(Strategy):
            raise ValueError(f"unfreezing.strategy is {strategy!r}: choose one of {', '.join(get_args(Strategy))}")
        given = {"blocks": blocks, "schedule": schedule, "probe_epochs": probe_epochs}
        for owner, name in _NEEDED.items():
            if strategy == owner and given[name] is None:
                raise ValueError(f"unfreezing.{name} is not given: the strategy {owner} needs it")
            if strategy != owner and given[name] is not None:
                raise ValueError(
                    f"unfreezing.{name} is {given[name]}: the strategy {strategy} does not use it, leave it out or "
                    f"choose {owner}"
                )
        if blocks is not None and blocks < 1:
            raise ValueError(f"unfreezing.blocks is {blocks}: choose 1 or more, or the strategy frozen")
        if schedule is not None and (not schedule or schedule[0] < 0 or any(a > b for a, b in pairwise(schedule))):
            raise ValueError(f"unfreezing.schedule is {schedule}: give epochs from 0 on, in ascending order")
        if probe_epochs is not None and probe_epochs < 1:
            raise ValueError(f"unfreezing.probe_epochs is {probe_epochs}: choose 1 or more, or the strategy full")
        if limit_epochs is not None and limit_epochs < 1:
            raise ValueError(f"unfreezing.limit_epochs is {limit_epochs}: choose 1 or more")
        if cache_gb is not None and cache_gb < 0:
            raise ValueError(f"unfreezing.cache_gb is {cache_gb}: choose 0 for no cache, or more")
        if cache_gb is not None and (strategy in ("full", "last_blocks") or (schedule or [1])[0] == 0):
            raise ValueError(
                f"unfreezing.cache_gb is {cache_gb}: the strategy {strategy} trains blocks from the start, whose codes "
                "are never kept, leave it out"
            )
        self.strategy = strategy
        self.blocks = blocks
        self.schedule = schedule
        self.probe_epochs = probe_epochs
        self.limit_epochs = limit_epochs
        self.cache_gb = _CACHE_GB if cache_gb is None else cache_gb
        self._epochs: list[int] = []  # from which the highest block is trained, the one below, and so on
        self._trained: int | None = None
        self._validated = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the plan, before anything is loaded and the model is spread over processes."""
        if stage != "fit":
            return
        self._trained, self._validated = None, False
        if not isinstance(pl_module, FineTunable):
            if self.strategy != "full":
                raise ValueError(
                    f"unfreezing.strategy is {self.strategy!r}: {type(pl_module).__name__} has no backbone to freeze, "
                    "leave it out or choose a model that has, such as TransferClassifier"
                )
            return
        self._epochs = self._plan(len(pl_module.blocks))
        last = max(self._epochs, default=0)
        if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= last:
            raise ValueError(
                f"trainer.max_epochs is {trainer.max_epochs}: unfreezing.{_NEEDED[self.strategy]} is "
                f"{self.schedule or self.probe_epochs}, give more than {last} epochs, or unfreeze earlier"
            )
        # gradients are exchanged for what is trainable when the model is spread: all that will be
        pl_module.train_blocks(len(self._epochs))
        if last > 0 and isinstance(trainer.strategy, DDPStrategy):
            trainer.strategy._ddp_kwargs["find_unused_parameters"] = True  # those that are still frozen
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training")

    def trained(self, epoch: int) -> int:
        """How many blocks an epoch trains, from the head downwards."""
        return sum(first <= epoch for first in self._epochs)

    @property
    def waits(self) -> bool:
        """Whether there are blocks that a later epoch of this fit unfreezes."""
        return self._trained is not None and self._trained < len(self._epochs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, or go on, with the blocks of the epoch at hand; what follows may be its validation."""
        self._follow(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unfreeze what is due."""
        self._follow(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the codes of the validation images, too, once it is known that there are any."""
        if self._trained == 0 and not self._validated and isinstance(pl_module, FineTunable) and pl_module.cached:
            self._validated = True
            pl_module.cached = pl_module.cached._replace(val=self._codes(trainer, pl_module, "val"))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so if the run ended before the last block was unfrozen.

        Warns:
            UserWarning: with the number of blocks.
        """
        if self.waits and not trainer.should_stop:
            rank_zero_warn(
                f"training ended with {self._trained} of {len(self._epochs)} blocks unfrozen: raise trainer.max_steps, "
                f"or lower unfreezing.{_NEEDED[self.strategy]}"
            )

    def _plan(self, blocks: int) -> list[int]:
        if self.strategy == "last_blocks" and (self.blocks or 0) > blocks:
            raise ValueError(f"unfreezing.blocks is {self.blocks}: the backbone has {blocks}, choose as many or fewer")
        if self.schedule is not None and len(self.schedule) > blocks:
            raise ValueError(
                f"unfreezing.schedule is {self.schedule}: the backbone has {blocks} blocks, give no more epochs"
            )
        plans = {
            "full": [0] * blocks,
            "frozen": [],
            "last_blocks": [0] * (self.blocks or 0),
            "gradual": self.schedule or [],
            "linear_probe_then_finetune": [self.probe_epochs or 0] * blocks,
        }
        epochs: list[int] = []
        for before, epoch in pairwise([0, *plans[self.strategy]]):
            wait = epoch - before if self.limit_epochs is None else min(epoch - before, self.limit_epochs)
            epochs.append((epochs[-1] if epochs else 0) + wait)
        return epochs

    def _follow(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the count that data are ordered by; `trainer.current_epoch` lags behind it in some resumed runs
        progress: Any = trainer.fit_loop.epoch_progress.current
        trained = self.trained(progress.processed)
        if not isinstance(pl_module, FineTunable) or trained == self._trained:
            return
        self._trained = trained
        pl_module.cached = None
        pl_module.train_blocks(trained)
        if trained == 0:
            pl_module.cached = FeatureCache(self._codes(trainer, pl_module, "train"), None)

    def _codes(self, trainer: Trainer, model: FineTunable, part: Literal["train", "val"]) -> Tensor | None:
        """Codes of the images of a part, where they may be kept."""
        data: Any = getattr(trainer, "datamodule", None)
        if self.cache_gb == 0 or model.mixes or not isinstance(data, ImageParts) or data.augmentation is not None:
            return None
        return joined(encoded(trainer, model.embed, data.images_of(part)), self.cache_gb)
