import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau

from datamodules import Digits, ImageBatch
from lit_models import VAE, Autoencoder, DenoisingAutoencoder, Technique, WarmupCosine
from networks import Gaussian, ImageShape, MaskingCorruption, MLPDecoder, MLPEncoder


class Rates(Callback):
    """Remembers the learning rate of each batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to look for")
def test_optimizers_do_not_look_for_a_gpu_on_the_disk() -> None:
    assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in os.environ


def test_attributes_are_set_as_in_any_module() -> None:
    model = Autoencoder((1, 8, 8))
    model._current_fx_name = "training_step"
    model.layer = torch.nn.Linear(2, 3)
    assert model._current_fx_name == "training_step"
    assert {"layer.weight", "layer.bias"} <= model.state_dict().keys()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_batch_step_counts_training_batches(
    accumulate: int, build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model, data = build(Autoencoder), Digits(batch_size=200)  # 7 batches an epoch
    trainer = make_trainer(max_epochs=2, accumulate_grad_batches=accumulate)
    trainer.fit(model, data)
    assert model.batch_step.item() == 14
    assert trainer.global_step == (14 if accumulate == 1 else 8)
    trainer.validate(model, data, verbose=False)
    assert model.batch_step.item() == 14


def test_batch_step_is_part_of_a_checkpoint(
    build: Callable[..., Any], make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    first = make_trainer(max_epochs=1)
    first.fit(build(Autoencoder), Digits(batch_size=200))
    first.save_checkpoint(tmp_path / "last.ckpt")
    model = build(Autoencoder)
    make_trainer(max_epochs=2).fit(model, Digits(batch_size=200), ckpt_path=tmp_path / "last.ckpt")
    assert model.batch_step.item() == 14


def test_a_checkpoint_in_mid_epoch_has_counted_its_last_batch(
    build: Callable[..., Any], make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1)
    trainer = make_trainer(max_steps=5, callbacks=[saving], enable_checkpointing=True)
    trainer.fit(build(Autoencoder), Digits(batch_size=200))
    (path,) = tmp_path.glob("*.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["global_step"] == 3
    assert checkpoint["state_dict"]["batch_step"].item() == 3


def test_training_terms_are_logged_only_on_the_batches_that_loggers_write(
    build: Callable[..., Any], make_trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(Autoencoder)
    logged: list[tuple[int, set[str]]] = []
    original = model.log_dict

    def log_dict(terms: Any, *args: Any, **kwargs: Any) -> None:
        logged.append((int(model.batch_step), set(terms)))
        original(terms, *args, **kwargs)

    monkeypatch.setattr(model, "log_dict", log_dict)
    trainer = make_trainer(max_steps=12, log_every_n_steps=4, limit_val_batches=0)
    trainer.fit(model, Digits(batch_size=64))
    assert logged == [(step, {"train/total", "train/reconstruction"}) for step in (3, 7, 11)]


def test_validation_terms_are_means_over_all_images(
    build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model, data = build(Autoencoder), Digits(eval_batch_size=100)  # 144 images: batches of 100 and 44
    logged = make_trainer().validate(model, data, verbose=False)[0]
    image = torch.cat([batch.image for batch in data.val_dataloader()]).float() / 255
    with torch.no_grad():
        expected = (model(image) - image).square().sum((1, 2, 3)).mean()
    assert logged["val/total"] == pytest.approx(expected.item(), rel=1e-5)
    assert set(logged) == {"val/total", "val/reconstruction"}


def test_the_default_optimizer_is_adam_with_its_own_defaults() -> None:
    optimizer = Autoencoder((1, 8, 8)).configure_optimizers()
    assert type(optimizer) is Adam
    assert optimizer.defaults["lr"] == 1e-3
    assert optimizer.defaults["weight_decay"] == 0


@pytest.mark.parametrize(
    "image_shape", [(1, 8, 8), [1, 8, 8], ImageShape(1, 8, 8)], ids=["tuple", "list", "ImageShape"]
)
def test_a_checkpoint_holds_data_and_no_code(
    image_shape: Any, make_trainer: Callable[..., Any], batch: ImageBatch, tmp_path: Path
) -> None:
    factories: dict[str, Any] = {
        "encoder": lambda shape, width: MLPEncoder(shape, width, (16,)),
        "decoder": partial(MLPDecoder, hidden=(16,)),
        "optimizer": lambda parameters: Adam(parameters, lr=0.01),
        "scheduler": lambda optimizer: WarmupCosine(optimizer),
    }
    model = Autoencoder(image_shape, latent_dim=5, reconstruction="bce", scheduler_interval="step", **factories)
    trainer = make_trainer(max_steps=2)
    trainer.fit(model, Digits())
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    assert torch.load(tmp_path / "model.ckpt", weights_only=True)["hyper_parameters"]["latent_dim"] == 5
    loaded = Autoencoder.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True, **factories)
    assert loaded.reconstruction == "bce"
    assert loaded.batch_step.item() == 2
    torch.testing.assert_close(loaded(batch.image), model(batch.image))


@pytest.mark.parametrize(
    ("kind", "forgotten"),
    [
        (VAE, {"likelihood": Gaussian(0.2)}),
        (DenoisingAutoencoder, {"corruption": MaskingCorruption(0.7)}),
        (Autoencoder, {"encoder": partial(MLPEncoder, activation="tanh")}),
        (Autoencoder, {"encoder": lambda shape, width: MLPEncoder(shape, width, activation="tanh")}),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_not_replaced_in_silence(
    kind: type[Technique], forgotten: dict[str, Any], make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    trainer = make_trainer(max_steps=1)
    trainer.fit(kind((1, 8, 8), latent_dim=4, **forgotten), Digits())  # type: ignore[arg-type]
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    name = next(iter(forgotten))
    with pytest.raises(ValueError, match=name):
        kind.load_from_checkpoint(tmp_path / "model.ckpt", image_shape=(1, 8, 8), latent_dim=4)
    kind.load_from_checkpoint(tmp_path / "model.ckpt", image_shape=(1, 8, 8), latent_dim=4, **forgotten)


def test_building_a_model_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    VAE((1, 8, 8), likelihood=Gaussian())
    DenoisingAutoencoder((1, 8, 8), corruption=MaskingCorruption())
    assert [str(warning.message) for warning in recwarn] == []


def test_reduce_on_plateau_watches_the_validation_loss(
    build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    standstill = partial(SGD, lr=1e-12)
    model = build(Autoencoder, optimizer=standstill, scheduler=partial(ReduceLROnPlateau, factor=0.1, patience=0))
    trainer = make_trainer(max_epochs=3)
    trainer.fit(model, Digits())
    assert trainer.lr_scheduler_configs[0].monitor == "val/total"
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-14)


def test_warmup_cosine_spans_the_run(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    # 7 batches in 4 steps an epoch, 5 epochs: 20 steps, of which 4 rise
    scheduler = {"scheduler": partial(WarmupCosine, warmup=0.2), "scheduler_interval": "step"}
    model, rates = build(Autoencoder, optimizer=partial(SGD, lr=1e-3), **scheduler), Rates()
    trainer = make_trainer(max_epochs=5, accumulate_grad_batches=2, callbacks=[rates])
    trainer.fit(model, Digits(batch_size=200))
    assert trainer.global_step == 20
    by_step = [rate for number, rate in enumerate(rates.seen) if number % 7 in (0, 2, 4, 6)]
    assert by_step[:4] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3])
    assert by_step[11] == pytest.approx(0.5e-3)
    assert by_step[19] == pytest.approx(0, abs=1e-9)


def test_warmup_cosine_is_never_stepped_by_epochs(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model, rates = build(Autoencoder, optimizer=partial(SGD, lr=1e-3), scheduler=WarmupCosine), Rates()
    try:
        make_trainer(max_epochs=3, callbacks=[rates]).fit(model, Digits(batch_size=200))
    except ValueError:
        return  # to be told to set scheduler_interval is as good
    assert rates.seen[-1] == pytest.approx(0, abs=1e-9)


def test_warmup_cosine_needs_a_run_with_an_end(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model = build(Autoencoder, scheduler=WarmupCosine, scheduler_interval="step")
    with pytest.raises(ValueError, match=r"trainer\.max_epochs or trainer\.max_steps"):
        make_trainer(max_epochs=-1, max_time={"seconds": 20}).fit(model, Digits())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("fused", [False, True])
def test_gradients_of_a_fused_optimizer_are_clipped_in_every_precision(
    precision: str, fused: bool, build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model = build(Autoencoder, optimizer=partial(SGD, lr=1.0, fused=fused))
    before = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    make_trainer(max_steps=1, precision=precision, gradient_clip_val=0.01).fit(model, Digits(batch_size=200))
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.01, rel=1e-3)
