"""What techniques need whose networks are trained in turn, each by an optimizer of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lit_models.base import OptimizerFactory, SchedulerFactory, Technique
from lit_models.schedules import RunSchedule

Terms = dict[str, Tensor]


class Player(NamedTuple):
    """What makes the optimizer and the schedule of one network, or of some that move together.

    Attributes:
        optimizer: from the parameters.
        scheduler: from the optimizer, with which it takes its steps; None for a constant rate.
        every: batches to one of its steps.
        networks: names of the attributes that are its networks; the player's own name if empty.
    """

    optimizer: OptimizerFactory
    scheduler: SchedulerFactory | None
    every: int = 1
    networks: tuple[str, ...] = ()


class AlternatingTechnique(Technique):
    """Networks that take turns; in each only the parameters of those whose turn it is have gradients.

    Gradients are clipped and batches divided here, because Lightning does neither when a technique steps its own
    optimizers. Lightning's `global_step`, and so `max_steps`, counts the steps of the first player only, and of those
    only the turns that are `counted`.

    Args:
        players: by name; the first is the one whose steps count.
        gradient_clip: largest norm of a player's gradient; none if not given.
        accumulate: parts that a batch is computed in one after another.
    """

    def __init__(self, players: dict[str, Player], gradient_clip: float | None, accumulate: int) -> None:
        super().__init__()
        if accumulate < 1:
            raise ValueError(f"accumulate is {accumulate}: a batch is computed in 1 part or more")
        if gradient_clip is not None and gradient_clip <= 0:
            raise ValueError(f"gradient_clip is {gradient_clip}: give a positive norm, or none")
        self.automatic_optimization = False
        self.gradient_clip = gradient_clip
        self.accumulate = accumulate
        self._players = players
        self._schedulers: dict[str, LRScheduler] = {}

    def configure_callbacks(self) -> list[Callback]:
        """Add none: this is the first hook in which the Trainer is known, and looks for what it cannot do here.

        Raises:
            ValueError: naming the setting, and the one to take instead.
        """
        trainer = self.trainer
        if trainer.gradient_clip_val:
            clip = trainer.gradient_clip_val
            raise ValueError(f"trainer.gradient_clip_val is {clip}: take model.init_args.gradient_clip instead")
        if trainer.accumulate_grad_batches != 1:
            raise ValueError(
                f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}: take a larger "
                "data.init_args.batch_size, and model.init_args.accumulate if it needs too much memory"
            )
        if trainer.precision == "16-mixed":
            raise ValueError(
                "trainer.precision is '16-mixed': it scales gradients that are clipped here, take bf16-mixed"
            )
        if isinstance(trainer.strategy, DDPStrategy):
            trainer.strategy._ddp_kwargs["find_unused_parameters"] = True  # those of the players that wait
        return []

    def configure_optimizers(self) -> Any:
        """Build an optimizer, and a scheduler where asked for, for each player."""
        configured: list[dict[str, Any]] = []
        for name, player in self._players.items():
            optimizer = player.optimizer(self._weights(name))
            configured.append({"optimizer": optimizer})
            if player.scheduler is None:
                continue
            scheduler = player.scheduler(optimizer)
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name}_scheduler is ReduceLROnPlateau: it follows a loss, and a game has none to follow"
                )
            if isinstance(scheduler, RunSchedule):
                scheduler.start(self.trainer.estimated_stepping_batches / player.every)
            self._schedulers[name] = scheduler
            configured[-1]["lr_scheduler"] = {"scheduler": scheduler, "interval": "step"}
        return configured

    def parts(self, batch: Any) -> list[Any]:
        """The batch in `accumulate` parts."""
        return [batch] if self.accumulate == 1 else _chunks(batch, self.accumulate)

    def moves(self, name: str) -> bool:
        """Whether a player takes a step in this batch.

        Batches are counted over all epochs, so that the rows of the log meet steps of every player alike.
        """
        return (self.trainer.fit_loop.epoch_loop.total_batch_idx + 1) % self._players[name].every == 0

    def turn(
        self,
        names: str | Sequence[str],
        losses: Callable[..., Terms],
        inputs: Iterable[Sequence[Any]],
        shares: Sequence[float],
        counted: bool = True,
    ) -> Terms:
        """Take a step of one player, or of several by the same loss.

        Args:
            names: of the player or the players.
            losses: makes the named terms of one part, the first of which the players minimise.
            inputs: arguments of `losses` for each part of the batch, made while only these players have gradients.
            shares: of each part in the batch.
            counted: whether it moves schedules and `global_step`; for a player with several turns in a batch, one does.

        Returns:
            Means of the terms over the batch, and the norm of each player's gradient before it is clipped as
            `<name>_gradient` where it is known: on the batches that the loggers write, or if it is to be clipped.
        """
        names = [names] if isinstance(names, str) else names
        optimizers: Any = self.optimizers()
        playing = {name: optimizer for name, optimizer in zip(self._players, optimizers, strict=True) if name in names}
        torch.clear_autocast_cache()  # it may hold weights of before another player's step
        means: Terms = {}
        with self._waiting([name for name in self._players if name not in names]):
            for optimizer in playing.values():
                optimizer.zero_grad()
            for share, arguments in zip(shares, inputs, strict=True):
                terms = losses(*arguments)
                self.manual_backward(share * next(iter(terms.values())))
                means = {key: means.get(key, 0) + share * value.detach() for key, value in terms.items()}
            for name, optimizer in playing.items():
                if self.gradient_clip or self.logs_now:
                    means[f"{name}_gradient"] = self._clip(name)
                with _counting(optimizer, counted and optimizer is optimizers[0]):
                    optimizer.step()
        if counted:
            for name in playing.keys() & self._schedulers.keys():
                self._schedulers[name].step()
        return means

    def _weights(self, name: str) -> list[nn.Parameter]:
        networks = self._players[name].networks or (name,)
        return [weight for network in networks for weight in self.get_submodule(network).parameters()]

    def _clip(self, name: str) -> Tensor:
        """Norm of a player's gradient before it is clipped."""
        weights = self._weights(name)
        norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
        if self.gradient_clip:
            clip_grads_with_norm_(weights, self.gradient_clip, norm)
        return norm

    @contextmanager
    def _waiting(self, names: Iterable[str]) -> Iterator[None]:
        """Parameters of these players have no gradients."""
        weights = [weight for name in names for weight in self._weights(name) if weight.requires_grad]
        for weight in weights:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in weights:
                weight.requires_grad_(True)


def _chunks(batch: Any, parts: int) -> Any:
    """A tensor, or a named tuple of them at any depth, in parts of almost equal length."""
    if isinstance(batch, Tensor):
        return batch.chunk(parts)
    return [type(batch)(*fields) for fields in zip(*(_chunks(field, parts) for field in batch), strict=True)]


@contextmanager
def _counting(optimizer: Any, counts: bool) -> Iterator[None]:
    """Keep Lightning from counting a step of an optimizer that does not count."""
    hooks = optimizer._on_before_step, optimizer._on_after_step
    if not counts:
        optimizer._on_before_step = optimizer._on_after_step = _uncounted
    yield
    optimizer._on_before_step, optimizer._on_after_step = hooks


def _uncounted() -> None:
    """Stands where Lightning counts a step of an optimizer."""
