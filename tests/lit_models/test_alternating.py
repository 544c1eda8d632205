"""Networks that take turns: whose optimizer steps when, on how much of a batch, and what the Trainer leaves to them."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from small_gan import small, weights
from torch import Tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from datamodules import Digits, ImageBatch
from lit_models import WarmupCosine


class Watch(Callback):
    """Notes after every batch the weights of both players and what is left in their gradients."""

    def __init__(self) -> None:
        self.generator: list[Tensor] = []
        self.discriminator: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *rest: Any) -> None:
        self._note(pl_module)

    def _note(self, module: Any) -> None:
        self.generator.append(weights(module.generator))
        self.discriminator.append(weights(module.discriminator))

    def moved(self, player: str) -> list[bool]:
        history = getattr(self, player)
        return [not torch.equal(*pair) for pair in itertools.pairwise(history)]


def test_the_discriminator_may_take_more_steps(make_trainer: Callable[..., Trainer]) -> None:
    watch, model = Watch(), small(discriminator_steps=3)
    make_trainer(max_epochs=1, limit_train_batches=7, limit_val_batches=0, callbacks=[watch]).fit(model, Digits())
    assert watch.moved("discriminator") == [True] * 7
    assert watch.moved("generator") == [False, False, True] * 2 + [False]
    assert model.batch_step == 7
    assert model.trainer.global_step == 2  # of the generator


def test_max_steps_counts_the_steps_of_the_generator(make_trainer: Callable[..., Trainer]) -> None:
    model, trainer = small(), make_trainer(max_steps=5, limit_val_batches=0)
    trainer.fit(model, Digits())
    assert trainer.global_step == model.batch_step == 5


def test_parts_of_a_batch_add_up_to_the_batch(make_trainer: Callable[..., Trainer]) -> None:
    ends = []
    for accumulate in (1, 3):
        model = small(
            accumulate=accumulate,
            r1=0.5,
            generator_optimizer=partial(SGD, lr=0.1),
            discriminator_optimizer=partial(SGD, lr=0.1),
        ).double()
        model.noise = Numbered  # type: ignore[method-assign, assignment]
        make_trainer(max_steps=4, limit_val_batches=0, precision="64-true").fit(model, Doubled(batch_size=50))
        ends.append(torch.cat([weights(model.generator), weights(model.discriminator)]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-11)


class Numbered:
    """Noise that depends on the example only."""

    def __init__(self, batch: ImageBatch) -> None:
        self._index = batch.index

    def normal(self, *shape: int) -> Tensor:
        return torch.stack(
            [torch.sin(torch.arange(1, shape[0] + 1) * (1.0 + i)) for i in self._index.tolist()]
        ).double()


class Doubled(Digits):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch._replace(image=batch.image.double())


def test_gradients_are_clipped_and_their_norms_are_those_before(make_trainer: Callable[..., Trainer]) -> None:
    norms = {}
    for clip in (None, 1e-3):
        watch = Watch()
        model = small(
            gradient_clip=clip,
            generator_optimizer=partial(SGD, lr=1.0),
            discriminator_optimizer=partial(SGD, lr=1.0),
        )
        trainer = make_trainer(max_steps=1, limit_val_batches=0, callbacks=[watch], log_every_n_steps=1)
        trainer.fit(model, Digits())
        for player in ("generator", "discriminator"):
            before, after = getattr(watch, player)
            norms[clip, player] = (
                trainer.callback_metrics[f"train/{player}_gradient"].item(),
                (after - before).norm().item(),
            )
    for player in ("generator", "discriminator"):
        said, moved = norms[None, player]
        assert moved == pytest.approx(said, rel=1e-4)
        assert norms[1e-3, player][1] == pytest.approx(1e-3, rel=1e-3)
    assert norms[1e-3, "discriminator"][0] == pytest.approx(norms[None, "discriminator"][0])


def test_schedules_step_with_their_player(make_trainer: Callable[..., Trainer]) -> None:
    model = small(
        discriminator_steps=2,
        generator_scheduler=partial(StepLR, step_size=1, gamma=0.5),
        discriminator_scheduler=partial(WarmupCosine, warmup=0.0),
    )
    make_trainer(max_epochs=1, limit_train_batches=8, limit_val_batches=0).fit(model, Digits())
    generator, discriminator = (optimizer.param_groups[0]["lr"] for optimizer in model.trainer.optimizers)
    assert generator == pytest.approx(2e-4 * 0.5**4)
    assert discriminator == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"gradient_clip_val": 0.5}, "trainer.gradient_clip_val is 0.5: take model.init_args.gradient_clip instead"),
        ({"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches is 2: take a larger"),
    ],
    ids=str,
)
def test_what_a_trainer_cannot_do_here_is_one_clear_line(
    settings: dict[str, Any], line: str, make_trainer: Callable[..., Trainer]
) -> None:
    with pytest.raises(ValueError, match=line):
        make_trainer(max_steps=1, **settings).fit(small(), Digits())


def test_a_game_has_no_plateau(make_trainer: Callable[..., Trainer]) -> None:
    with pytest.raises(ValueError, match="generator_scheduler is ReduceLROnPlateau"):
        make_trainer(max_steps=1).fit(small(generator_scheduler=ReduceLROnPlateau), Digits())
