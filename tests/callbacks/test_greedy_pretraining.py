"""Pretraining as epochs of the one Trainer: what each phase trains, on what, with which optimizer, and how it ends."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import PolynomialLR, ReduceLROnPlateau
from torchvision.transforms.v2 import RandomAffine

from callbacks import Checkpoint, GreedyPretraining
from datamodules import Digits
from lit_models import VAE, StackedClassifier, WarmupCosine
from networks import AutoencoderLayer, BinaryRBM, DenoisingLayer

LAYERS = [partial(BinaryRBM, units=24), partial(DenoisingLayer, units=16)]


def stack(layers: Any = LAYERS, **arguments: Any) -> StackedClassifier:
    torch.manual_seed(0)
    return StackedClassifier((1, 8, 8), 10, layers, **{"optimizer": partial(Adam, lr=3e-3), **arguments})


def weights(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in module.parameters()])


class Diary(Callback):
    """Notes what each epoch trained, and with what."""

    def __init__(self) -> None:
        self.phases: list[str | None] = []
        self.optimizers: list[Any] = []
        self.rates: list[float] = []
        self.moved: list[set[str]] = []
        self.in_training: list[set[str]] = []
        self.cached: list[tuple[int, ...] | None] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        model: Any = pl_module
        if batch_idx:
            return
        self.before = {name: weights(part) for name, part in self.parts(model).items()}
        self.phases.append(model.phase)
        self.optimizers.append(trainer.optimizers[0])
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.cached.append(None if model.codes is None else tuple(model.codes.shape))
        assert model.training
        self.in_training.append({name for name, part in self.parts(model).items() if part.training})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        after = {name: weights(part) for name, part in self.parts(pl_module).items()}
        self.moved.append({name for name in after if not torch.equal(after[name], self.before[name])})

    @staticmethod
    def parts(model: Any) -> dict[str, nn.Module]:
        return {"1": model.layers[0], "2": model.layers[1], "hidden": model.network.hidden, "head": model.network.head}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[StackedClassifier, Diary]]:
    """Trains a stack of two layers under the callback, and tells how it went."""

    def go(
        pretraining: GreedyPretraining, model: StackedClassifier | None = None, data: Any = None, **settings: Any
    ) -> tuple[StackedClassifier, Diary]:
        model, diary = model or stack(), Diary()
        callbacks = [pretraining, diary, *settings.pop("callbacks", [])]
        trainer(tmp_path, callbacks=callbacks, **settings).fit(model, data or Digits(batch_size=256))
        return model, diary

    return go


def trainer(folder: Path, **settings: Any) -> Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    if any(isinstance(callback, Checkpoint) for callback in settings.get("callbacks", [])):
        del quiet["enable_checkpointing"]
    fixed = {"accelerator": "cpu", "devices": 1, "use_distributed_sampler": False, "num_sanity_val_steps": 0}
    return Trainer(**{"max_epochs": 6, "default_root_dir": folder, **quiet, **fixed, **settings})


def test_a_phase_trains_its_layer_and_nothing_else(run: Callable[..., Any]) -> None:
    _, diary = run(GreedyPretraining([2, 1], readout_epochs=1))
    assert diary.phases == ["layer1", "layer1", "layer2", "readout", "fine_tuning", "fine_tuning"]
    assert diary.moved == [{"1"}, {"1"}, {"2"}, {"head"}, {"hidden", "head"}, {"hidden", "head"}]
    assert diary.in_training == diary.moved  # what is frozen is in eval mode, also after a validation


def test_each_phase_has_a_fresh_optimizer_at_its_own_rate(run: Callable[..., Any]) -> None:
    pretraining = GreedyPretraining([2, 1], [0.1, 0.2], partial(SGD, lr=7.0, momentum=0.9), readout_epochs=1)
    _, diary = run(pretraining)
    assert [type(optimizer) for optimizer in diary.optimizers] == [SGD] * 3 + [Adam] * 3
    assert len({id(optimizer) for optimizer in diary.optimizers}) == 4
    assert diary.rates == [0.1, 0.1, 0.2, 3e-3, 3e-3, 3e-3]
    held = [{id(weight) for weight in optimizer.param_groups[0]["params"]} for optimizer in diary.optimizers]
    assert not held[0] & held[2]
    assert not held[2] & held[3]
    assert held[3] < held[4]


def test_the_rate_of_each_layer_follows_a_schedule_of_its_own(run: Callable[..., Any]) -> None:
    falling = partial(PolynomialLR, total_iters=2, power=1.0)
    _, diary = run(GreedyPretraining(2, [0.1, 0.2], partial(SGD, lr=7.0), falling), max_epochs=5)
    assert diary.rates == pytest.approx([0.1, 0.05, 0.2, 0.1, 3e-3])
    with pytest.raises(ValueError, match=r"^pretraining.scheduler is ReduceLROnPlateau: "):
        run(GreedyPretraining(2, scheduler=ReduceLROnPlateau))


def test_the_classifier_begins_with_what_was_learned(run: Callable[..., Any]) -> None:
    model, _ = run(GreedyPretraining([1, 1], readout_epochs=1), max_epochs=3)
    untrained = stack()
    for layer, hidden, before in zip(model.layers, model.network.hidden, untrained.layers, strict=True):
        assert torch.equal(hidden[0].weight, layer.encoder.weight)
        assert not torch.equal(hidden[0].weight, before.encoder.weight)


def test_cached_codes_are_those_of_the_frozen_layers(run: Callable[..., Any]) -> None:
    ends = []
    for cache_gb in (1.0, 0.0):
        model, diary = run(
            GreedyPretraining([1, 1], readout_epochs=1, cache_gb=cache_gb),
            stack().double(),
            Wide(),
            precision="64-true",
        )
        shapes = [None, (1294, 24), (1294, 16), None, None, None]
        assert diary.cached == (shapes if cache_gb else [None] * 6)
        ends.append(weights(model))
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-12)


class Wide(Digits):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch._replace(image=batch.image.double())


def test_codes_of_augmented_images_are_not_cached(run: Callable[..., Any]) -> None:
    data = Digits(batch_size=256, augmentation=[RandomAffine(degrees=10)])
    _, diary = run(GreedyPretraining(1), data=data, max_epochs=3)
    assert diary.cached == [None, None, None]


def test_the_schedule_is_that_of_fine_tuning_alone(run: Callable[..., Any]) -> None:
    rates = []

    class Rates(Callback):
        def on_train_batch_start(self, trainer: Trainer, *details: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    model = stack(scheduler=partial(WarmupCosine, warmup=0.0), scheduler_interval="step")
    run(GreedyPretraining(1, learning_rate=0.5), model, max_epochs=4, limit_train_batches=5, callbacks=[Rates()])
    assert rates[:10] == [0.5] * 10
    cosine = [3e-3 * (1 + math.cos(math.pi * step / 10)) / 2 for step in range(1, 11)]
    assert rates[10:] == pytest.approx(cosine, abs=1e-9)


def test_metrics_are_named_by_their_phase(run: Callable[..., Any]) -> None:
    seen: list[set[str]] = []

    class Names(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            new = set(trainer.callback_metrics) - set().union(*seen)
            seen.append(new)

    run(GreedyPretraining(1, readout_epochs=1), log_every_n_steps=1, max_epochs=4, callbacks=[Names()])
    rbm = {"loss", "reconstruction", "val_reconstruction", "val_free_energy", "free_energy_gap"}
    assert seen[0] == {f"pretrain/layer1/{name}" for name in rbm}
    assert seen[1] == {f"pretrain/layer2/{name}" for name in ("loss", "reconstruction", "val_reconstruction")}
    assert seen[2] == {f"pretrain/readout/{name}" for name in ("total", "accuracy", "val_total", "val_accuracy")}
    assert seen[3] == {"train/total", "train/accuracy", "val/total", "val/accuracy"}


def test_the_checkpoint_of_the_pretrained_model_is_kept(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    model, _ = run(GreedyPretraining(1, readout_epochs=1), max_epochs=5, callbacks=[Checkpoint(monitor="val/total")])
    saved = torch.load(tmp_path / "checkpoints" / "pretrained.ckpt", weights_only=True)
    assert saved["epoch"] == 2
    assert saved["callbacks"]["GreedyPretraining"] == {"phase": "readout", "epoch": 2, "step": 12}
    again = stack(pretrained=str(tmp_path / "checkpoints" / "pretrained.ckpt"))
    trainer(tmp_path, max_epochs=1, limit_train_batches=0).fit(again, Digits())
    for one, other in zip(model.layers, again.layers, strict=True):
        assert torch.equal(weights(one), weights(other))
    before = stack()
    before.load_state_dict(saved["state_dict"])
    scores = [trainer(tmp_path).test(scored, Digits(), verbose=False)[0]["test/total"] for scored in (before, model)]
    assert scores[1] < scores[0]


def test_after_the_run_the_model_is_like_any_other(run: Callable[..., Any], tmp_path: Path) -> None:
    model, _ = run(GreedyPretraining(1), max_epochs=3)
    assert model.phase is None
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.network.parameters())
    before = weights(model.layers)
    trainer(tmp_path, max_epochs=1).fit(model, Digits())  # without the callback
    assert torch.equal(before, weights(model.layers))


def test_without_epochs_it_does_nothing(run: Callable[..., Any]) -> None:
    ends = []
    for callback in (GreedyPretraining(), None):
        model = stack()
        torch.manual_seed(1)
        run(callback or Callback(), model, max_epochs=2)
        ends.append(weights(model.network))
    assert torch.equal(*ends)


def test_epochs_of_all_phases_can_be_limited(run: Callable[..., Any]) -> None:
    _, diary = run(GreedyPretraining([5, 7], readout_epochs=3, limit_epochs=1), max_epochs=4)
    assert diary.phases == ["layer1", "layer2", "readout", "fine_tuning"]


def test_a_layer_may_be_left_out(run: Callable[..., Any]) -> None:
    _, diary = run(GreedyPretraining([0, 1]), max_epochs=2)
    assert diary.phases == ["layer2", "fine_tuning"]


@pytest.mark.parametrize(
    ("pretraining", "settings", "line"),
    [
        (
            {"epochs": [3, 3], "readout_epochs": 2},
            {"max_epochs": 7},
            r"trainer.max_epochs is 7: pretraining takes 3 \+ 3 \+ 2 epochs, give more than 8, or",
        ),
        (
            {"epochs": [1, 1, 1]},
            {},
            r"pretraining.epochs is \[1, 1, 1\]: the model has 2 layers, give one number for all or 2",
        ),
        (
            {"epochs": 1, "learning_rate": [0.1]},
            {},
            r"pretraining.learning_rate is \[0.1\]: the model has 2 layers, give one number for all or 2",
        ),
    ],
    ids=["too few epochs", "epochs of another stack", "rates of another stack"],
)
def test_a_plan_that_cannot_be_is_one_clear_line(
    pretraining: Any, settings: Any, line: str, run: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=f"^{line}"):
        run(GreedyPretraining(**pretraining), **settings)


@pytest.mark.parametrize("name", ["epochs", "readout_epochs"])
def test_a_model_without_layers_is_one_clear_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^pretraining.{name} is 2: VAE has no layers to pretrain"):
        trainer(tmp_path, callbacks=[GreedyPretraining(**{name: 2})]).fit(VAE((1, 8, 8)), Digits())  # type: ignore[arg-type]


def test_a_run_that_ends_within_pretraining_says_so(run: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="training ended in the phase layer1, before that of the whole"):
        run(GreedyPretraining(2), max_steps=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="training ended in the phase")
        run(GreedyPretraining(1), max_epochs=2)  # the epochs of pretraining alone, which was asked for
        run(GreedyPretraining(1), max_epochs=3)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"epochs": -1}, "pretraining.epochs is -1:"),
        ({"epochs": [1, -1]}, r"pretraining.epochs is \[1, -1\]:"),
        ({"readout_epochs": -1}, "pretraining.readout_epochs is -1:"),
        ({"limit_epochs": 0}, "pretraining.limit_epochs is 0:"),
        ({"cache_gb": -0.5}, "pretraining.cache_gb is -0.5:"),
    ],
    ids=str,
)
def test_an_impossible_argument_is_one_clear_line(arguments: Any, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line}"):
        GreedyPretraining(**arguments)


def test_pretraining_learns(run: Callable[..., Any]) -> None:
    layers = [partial(AutoencoderLayer, units=32)] * 2
    data = Digits(batch_size=64)
    model, _ = run(GreedyPretraining(20, learning_rate=3e-3), stack(layers), data, max_epochs=41)
    image = next(data.training_images())
    error, spread = (model.reconstruct(image) - image).square().mean(), (image - image.mean(0)).square().mean()
    assert error < 0.5 * spread
