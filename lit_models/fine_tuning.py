"""What models share that begin with a network that was trained before: what of it is trained, and how fast."""

from abc import abstractmethod
from math import isclose
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lit_models.single_loss import SingleLossTechnique
from networks import Block, FeatureCache, Freezable


class FineTuned(SingleLossTechnique):
    """Has a backbone, whose blocks may be frozen and have learning rates of their own, and a new head.

    Attributes:
        backbone_rate: learning rate of the highest block of the backbone, as a multiple of the optimizer's own, which
            is that of the head.
        layer_decay: factor from the learning rate of each block to that of the one below, in (0, 1].
        cached: features of the data, which training and validation take in place of the examples where they are there.
    """

    backbone_rate: float
    layer_decay: float
    cached: FeatureCache | None = None

    @property
    @abstractmethod
    def backbone(self) -> Freezable:
        """The network that was trained before, without its own head."""

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The new layer."""

    @property
    def blocks(self) -> list[Block]:
        """Parts of the backbone that can be frozen, from the input upwards."""
        return self.backbone.blocks

    @property
    def trained_blocks(self) -> int:
        """How many of the highest blocks train; all outside of a fit that freezes some."""
        return self.backbone.trained_blocks

    def train_blocks(self, n: int) -> None:
        """Let the head and the highest n blocks train; see `Freezable.train_blocks`.

        The optimizer has all parameters from the start, and passes over those that have no gradient.

        Raises:
            ValueError: if there are not so many.
        """
        self.backbone.train_blocks(n)
        self.train()

    def on_fit_end(self) -> None:
        """Forget the features, which are of the data of this fit."""
        self.cached = None

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer with a group of parameters and a learning rate for each block and for the head."""
        groups: list[Any] = [{"params": block.parameters, "name": block.name} for block in self.blocks]
        groups.append({"params": list(self.head.parameters()), "name": "head"})
        optimizer = self._make_optimizer(groups)
        for group, rate in zip(optimizer.param_groups, self.rates, strict=True):
            group["lr"] = group["lr"] * rate
        return optimizer

    def configure_optimizers(self) -> Any:
        """Build the optimizer and the scheduler.

        Raises:
            ValueError: if the scheduler sets rates of its own.
        """
        configured = super().configure_optimizers()
        if isinstance(configured, dict):
            first = [group.get("initial_lr", group["lr"]) for group in configured["optimizer"].param_groups]
            if any(not isclose(lr, first[-1] * rate) for lr, rate in zip(first, self.rates, strict=True)):
                kind = type(configured["lr_scheduler"]["scheduler"]).__name__
                raise ValueError(
                    f"scheduler is {kind}: it sets rates of its own, and backbone_rate and layer_decay would be "
                    "ignored: choose WarmupCosine, or leave both at 1"
                )
        return configured

    @property
    def rates(self) -> list[float]:
        """Learning rates as multiples of the optimizer's own, of the blocks from the input upwards and the head.

        The highest block has `backbone_rate`, and each below `layer_decay` times that of the one above.
        """
        depths = reversed(range(len(self.blocks)))
        return [*(self.backbone_rate * self.layer_decay**depth for depth in depths), 1.0]


def check_rates(backbone_rate: float, layer_decay: float) -> None:
    """Refuse rates with which a backbone would not be trained, or its lowest blocks most.

    Raises:
        ValueError: if one is impossible.
    """
    if backbone_rate <= 0:
        raise ValueError(f"backbone_rate is {backbone_rate}: choose more than 0, or freeze by unfreezing.strategy")
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is {layer_decay}: it is a factor from block to block, in (0, 1]")
