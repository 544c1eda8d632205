"""The game itself: whose parameters move when, on what, and that it is won."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning import Trainer
from small_gan import NETWORKS, SHAPE, small, weights
from torch import Tensor
from torch.optim import SGD, Adam

from callbacks.protocols import Generative
from datamodules import Digits, GaussianRing, ImageBatch
from lit_models import GAN
from networks import DCGANDiscriminator, DCGANGenerator, DifferentiableAugmentation, MLPDiscriminator, MLPGenerator

FAST: dict[str, Any] = {
    "generator_optimizer": partial(Adam, lr=2e-3, betas=(0.5, 0.999)),
    "discriminator_optimizer": partial(Adam, lr=2e-3, betas=(0.5, 0.999)),
}


def test_gradients_of_one_player_never_reach_the_other(batch: ImageBatch) -> None:
    model = small(r1=1.0, gradient_penalty=1.0)
    hand = model._deal(batch)
    fake = model.generator(hand.z, None)
    model.discriminator_terms(hand, fake)["discriminator_loss"].backward()
    assert all(parameter.grad is None for parameter in model.generator.parameters())
    # the head's bias alone moves no gradient of a score by its example, and none is a leak
    assert all(parameter.grad is not None for parameter in model.discriminator.parameters())


def test_a_step_of_the_generator_leaves_no_gradient_in_the_discriminator(make_trainer: Callable[..., Trainer]) -> None:
    seen: dict[str, list[bool]] = {"generator": [], "discriminator": []}

    class Observed(GAN):
        def turn(self, name: str, losses: Any, inputs: Any, shares: Any) -> Any:
            self.zero_grad()
            terms = super().turn(name, losses, inputs, shares)
            for player in seen:
                gradients = [weight.grad for weight in self.get_submodule(player).parameters()]
                seen[player].append(any(gradient is not None and gradient.any() for gradient in gradients))
            return terms

    torch.manual_seed(0)
    make_trainer(max_steps=3, limit_val_batches=0).fit(Observed(SHAPE, **NETWORKS), Digits())
    assert seen["discriminator"] == [True, False] * 3
    assert seen["generator"] == [False, True] * 3


def test_the_average_is_what_is_sampled_predicted_and_saved(make_trainer: Callable[..., Trainer]) -> None:
    model, trainer = small(ema_decay=0.9, **FAST), make_trainer(max_steps=30, limit_val_batches=0)
    trainer.fit(model, Digits(batch_size=32))
    assert not torch.equal(weights(model.generator), weights(model.average))
    z = torch.randn(6, 4)
    with torch.no_grad():
        torch.testing.assert_close(model(z), model.average.network(z))
        assert not torch.allclose(model(z), model.generator(z))
        torch.manual_seed(1)
        drawn = model.sample(6)
        torch.manual_seed(1)
        torch.testing.assert_close(drawn, model.average.network(model.prior(6)))
    assert any(name.startswith("average.") for name in model.state_dict())
    data = Digits()
    (predicted,) = make_trainer().predict(model, data)  # type: ignore[misc]
    assert predicted["sample"].shape == (len(predicted["index"]), *SHAPE)


RING: dict[str, dict[str, Any]] = {
    **{loss: {"r1": 0.1} for loss in ("minimax", "non_saturating", "least_squares", "hinge")},
    "wasserstein": {"gradient_penalty": 1.0, "discriminator_steps": 3},
}


@pytest.mark.parametrize("loss", RING)
def test_every_game_finds_the_ring(loss: Any, make_trainer: Callable[..., Trainer]) -> None:
    adam = partial(Adam, lr=2e-3, betas=(0.5 if loss != "wasserstein" else 0.0, 0.9))
    model = small(
        data_shape=(2,),
        num_classes=0,
        latent_dim=2,
        loss=loss,
        generator=partial(MLPGenerator, hidden=(64, 64)),
        discriminator=partial(MLPDiscriminator, hidden=(64, 64)),
        ema_decay=0.9,
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        **RING[loss],
    )
    data = GaussianRing(mode_std=0.2, train_size=6400, val_size=1000, test_size=1000, batch_size=128)
    before = make_trainer().test(model, data, verbose=False)[0]
    make_trainer(max_epochs=12, limit_val_batches=0).fit(model, data)
    after = make_trainer().test(model, data, verbose=False)[0]
    assert after["test/energy_distance"] < 0.1 * before["test/energy_distance"]
    assert after["test/modes_covered"] >= 6
    assert before["test/modes_covered"] == 0


def test_quality_does_not_depend_on_the_batch_size(make_trainer: Callable[..., Trainer]) -> None:
    model = small()
    whole, parts = (make_trainer().test(model, Digits(eval_batch_size=size), verbose=False)[0] for size in (1000, 37))
    assert whole == {name: pytest.approx(parts[name], rel=1e-4, abs=1e-6) for name in whole}
    assert model.measured_with == {"features": "raw values, 64 features", "n_real": 359, "n_generated": 359}
    torch.manual_seed(5)
    assert make_trainer().test(model, Digits(eval_batch_size=37), verbose=False)[0] == parts


def test_a_conditional_model_learns_its_classes(make_trainer: Callable[..., Trainer]) -> None:
    model = small(
        conditional=True,
        generator=partial(MLPGenerator, hidden=(64,)),
        discriminator=partial(MLPDiscriminator, hidden=(64,)),
        r1=0.1,
        ema_decay=0.9,
        **FAST,
    )
    data = Digits(batch_size=64)
    make_trainer(max_epochs=15, limit_val_batches=0).fit(model, data)
    train = data.dataset("train")
    images, labels = train.source.take(torch.arange(len(train))).float() / 255, train.label  # type: ignore[union-attr]
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)]).flatten(1)
    with torch.no_grad():
        made = torch.stack([model.sample(200, digit).mean(0) for digit in range(10)]).flatten(1)
    nearest = torch.cdist(made, means).argmin(1)
    assert (nearest == torch.arange(10)).sum() >= 8


def test_classes_of_samples() -> None:
    model = small(conditional=True)
    assert isinstance(model, Generative)
    assert model.labels_of(12).tolist() == [*range(10), 0, 1]  # type: ignore[union-attr]
    assert model.labels_of(3, 7).tolist() == [7, 7, 7]  # type: ignore[union-attr]
    assert model.sample(5, 2).shape == (5, *SHAPE)
    with pytest.raises(ValueError, match="label is 10: choose one of the classes 0 to 9"):
        model.sample(1, 10)
    assert small().labels_of(3) is None
    with pytest.raises(ValueError, match="label is 1: this model was trained without classes"):
        small().sample(1, 1)


def test_both_players_see_augmented_images_only(make_trainer: Callable[..., Trainer]) -> None:
    model = small(augmentation=DifferentiableAugmentation(["cutout"], cutout=0.9))
    seen: list[Tensor] = []
    model.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    make_trainer(max_steps=1, limit_val_batches=0).fit(model, Digits())
    assert len(seen) == 3  # real, generated, and generated for the generator
    assert all((image == 0.5).float().mean() > 0.2 for image in seen)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_weights_in_bfloat16_are_those_of_now(accumulate: int, make_trainer: Callable[..., Trainer]) -> None:
    """Autocast keeps casts of the weights until it ends, which is after both players have stepped."""
    scores = []

    class Observed(GAN):
        def generator_terms(self, hand: Any, fake: Tensor) -> Any:
            with torch.autocast("cpu", torch.bfloat16):
                scores.append(super()._score(fake, hand).detach().float())
            with torch.autocast("cpu", enabled=False):
                scores.append(super()._score(fake.float(), hand).detach())
            return super().generator_terms(hand, fake)

    torch.manual_seed(0)
    big = {"discriminator_optimizer": partial(SGD, lr=50.0)}  # a step that cannot be overlooked
    model = Observed(SHAPE, **NETWORKS, **big, accumulate=accumulate)
    start = weights(model.generator)
    make_trainer(max_steps=1, limit_val_batches=0, precision="bf16-mixed").fit(model, Digits())
    torch.testing.assert_close(scores[0], scores[1], rtol=0.05, atol=0.05)
    assert not torch.equal(start, weights(model.generator))


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"loss": "relativistic"}, "loss is 'relativistic':"),
        ({"latent_dim": 0}, "latent_dim is 0:"),
        ({"discriminator_steps": 0}, "discriminator_steps is 0:"),
        ({"accumulate": 0}, "accumulate is 0:"),
        ({"gradient_penalty": -1.0}, "gradient_penalty is -1.0:"),
        ({"r1": -1.0}, "r1 is -1.0:"),
        (
            {"r1": 0.5, "generator": DCGANGenerator, "discriminator": DCGANDiscriminator, "data_shape": (1, 28, 28)},
            "r1 is 0.5:",
        ),
        ({"gradient_clip": 0.0}, "gradient_clip is 0.0:"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0:"),
        ({"conditional": True, "num_classes": 0}, "conditional is True:"),
        (
            {
                "loss": "wasserstein",
                "generator": DCGANGenerator,
                "discriminator": DCGANDiscriminator,
                "data_shape": (1, 28, 28),
            },
            "gradient_penalty is 10.0:",
        ),
    ],
)
def test_an_impossible_argument_is_one_clear_line(arguments: dict[str, Any], start: str) -> None:
    with pytest.raises(ValueError, match=r".+") as error:
        small(**arguments)
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)
