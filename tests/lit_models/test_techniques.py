"""What holds for every technique."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim import SGD

from callbacks.protocols import Decoding, Embedding, Reconstructive
from datamodules import Digits, ImageBatch
from datamodules.batch import UnlabelledImageBatch
from lit_models import (
    IWAE,
    VAE,
    Autoencoder,
    Classifier,
    DeepBeliefNetwork,
    DenoisingAutoencoder,
    MaskedAutoencoder,
    SparseAutoencoder,
    StackedClassifier,
    Technique,
    TransferClassifier,
    ViT,
)
from networks import ConvDecoder, ConvEncoder

# share of the untrained model's validation loss that is left after three epochs
LEARNED: dict[type[Technique], float] = {
    Autoencoder: 0.5,
    SparseAutoencoder: 0.5,
    DenoisingAutoencoder: 0.5,
    MaskedAutoencoder: 0.5,
    VAE: 0.8,
    IWAE: 0.8,
    Classifier: 0.5,
    TransferClassifier: 0.5,
    ViT: 0.5,
    StackedClassifier: 0.5,
    DeepBeliefNetwork: 0.5,
}
SUPERVISED = (Classifier, TransferClassifier, ViT, StackedClassifier, DeepBeliefNetwork)
NOISELESS = (Autoencoder, SparseAutoencoder, *SUPERVISED)  # draw nothing in training
AUTOENCODERS = [kind for kind in LEARNED if issubclass(kind, Autoencoder)]
GENERATIVE = [kind for kind in LEARNED if hasattr(kind, "sample")]


def test_it_learns(technique: type[Technique], build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model, data, trainer = build(technique), Digits(batch_size=32), make_trainer(max_epochs=3)
    before = trainer.validate(model, data, verbose=False)[0]["val/total"]
    trainer.fit(model, data)
    after = trainer.validate(model, data, verbose=False)[0]["val/total"]
    assert after < LEARNED[technique] * before


def test_convolutions_learn_too(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    networks = {"encoder": partial(ConvEncoder, channels=(8, 16)), "decoder": partial(ConvDecoder, channels=(16, 8))}
    model, data, trainer = build(Autoencoder, **networks), Digits(batch_size=32), make_trainer(max_epochs=3)
    before = trainer.validate(model, data, verbose=False)[0]["val/total"]
    trainer.fit(model, data)
    assert trainer.validate(model, data, verbose=False)[0]["val/total"] < 0.6 * before


def test_evaluation_repeats_itself(
    technique: type[Technique], build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model, data = build(technique), Digits()
    first = make_trainer().validate(model, data, verbose=False)
    torch.manual_seed(123)
    assert make_trainer().validate(model, data, verbose=False) == first


def test_evaluation_leaves_the_global_generator_alone(
    technique: type[Technique], build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model, trainer = build(technique), make_trainer()
    state = torch.get_rng_state()
    trainer.test(model, Digits(), verbose=False)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_scores_do_not_depend_on_the_batch_size(
    stage: str, technique: type[Technique], build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model = build(technique)
    whole, parts = (
        getattr(make_trainer(), stage)(model, Digits(eval_batch_size=size), verbose=False)[0] for size in (1000, 37)
    )
    assert whole == {name: pytest.approx(parts[name], rel=1e-4, abs=1e-6) for name in whole}


def test_training_noise_is_fresh(technique: type[Technique], attached: Callable[..., Any], batch: ImageBatch) -> None:
    model = attached(technique)
    one, other = model.loss(batch).total, model.loss(batch).total
    assert torch.equal(one, other) == (technique in NOISELESS)


def test_one_bf16_step_is_close_to_a_float32_step(
    technique: type[Technique], build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    terms = {}
    for precision in ("32-true", "bf16-mixed"):
        model, trainer = build(technique), make_trainer(max_steps=1, precision=precision, log_every_n_steps=1)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        trainer.fit(model, Digits())
        terms[precision] = {k: v.item() for k, v in trainer.callback_metrics.items() if k.startswith("train/")}
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        assert any(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    assert terms["32-true"]
    assert terms["bf16-mixed"] == {
        name: pytest.approx(value, rel=2e-2, abs=1e-3) for name, value in terms["32-true"].items()
    }


@pytest.mark.parametrize("likelihood", ["mse", "bce"])
@pytest.mark.parametrize("kind", AUTOENCODERS)
def test_reconstructions_of_autoencoders(
    kind: type[Technique], likelihood: str, build: Callable[..., Any], batch: ImageBatch
) -> None:
    model = build(kind, reconstruction=likelihood)
    assert isinstance(model, Decoding)
    check_reconstructions(model, batch)


@pytest.mark.parametrize("kind", [kind for kind in LEARNED if hasattr(kind, "reconstruct")])
def test_reconstructions(kind: type[Technique], build: Callable[..., Any], batch: ImageBatch) -> None:
    check_reconstructions(build(kind), batch)


def check_reconstructions(model: Any, batch: ImageBatch) -> None:
    model.eval()
    assert isinstance(model, Reconstructive)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        picture = model.reconstruct(batch.image)
    assert picture.dtype == torch.float32
    assert picture.shape == batch.image.shape
    assert picture.min() >= 0
    assert picture.max() <= 1
    if isinstance(model, Decoding) and not isinstance(model, SUPERVISED):  # whose output is classes
        torch.testing.assert_close(model(batch.image), model.decode(model.embed(batch.image)))


@pytest.mark.parametrize("kind", GENERATIVE)
def test_samples(kind: type[Technique], build: Callable[..., Any]) -> None:
    model = build(kind)
    samples = model.sample(5)
    assert samples.shape == (5, 1, 8, 8)
    assert samples.min() >= 0
    assert samples.max() <= 1
    assert not torch.equal(samples, model.sample(5))


def test_predictions_are_codes_that_know_their_images(
    technique: type[Technique], build: Callable[..., Any], batch: ImageBatch
) -> None:
    model = build(technique).eval()
    assert isinstance(model, Embedding)
    prediction = model.predict_step(batch, 0)
    assert {"latent", "label", "index"} <= set(prediction)
    assert all(len(values) == len(batch.index) for values in prediction.values())
    assert torch.equal(prediction["index"], batch.index)
    unlabelled = model.predict_step(UnlabelledImageBatch(batch.image, batch.index), 0)
    assert set(prediction) - set(unlabelled) == {"label"}


def test_codes_for_later_use_are_those_of_the_clean_images(
    technique: type[Technique], build: Callable[..., Any], batch: ImageBatch
) -> None:
    model = build(technique).eval()
    torch.testing.assert_close(model.predict_step(batch, 0)["latent"], model.embed(batch.image))


@pytest.mark.parametrize("kind", [kind for kind in LEARNED if kind not in SUPERVISED])
def test_an_unlabelled_batch_is_enough(kind: type[Technique], attached: Callable[..., Any], batch: ImageBatch) -> None:
    model = attached(kind).eval()
    unlabelled = UnlabelledImageBatch(batch.image, batch.index)
    torch.testing.assert_close(model.loss(unlabelled).total, model.loss(batch).total)


@pytest.mark.parametrize("kind", SUPERVISED)
def test_an_unlabelled_batch_is_not_enough(
    kind: type[Technique], attached: Callable[..., Any], batch: ImageBatch
) -> None:
    with pytest.raises(ValueError, match="needs labels, and a UnlabelledImageBatch has none"):
        attached(kind).loss(UnlabelledImageBatch(batch.image, batch.index))


def test_a_loss_needs_no_trainer(technique: type[Technique], build: Callable[..., Any], batch: ImageBatch) -> None:
    assert build(technique).loss(batch).total.isfinite()


def test_terms_are_means_over_the_batch(
    technique: type[Technique], attached: Callable[..., Any], batch: ImageBatch
) -> None:
    model = attached(technique).eval()
    twice = ImageBatch(*(torch.cat([field, field]) for field in batch))
    for one, other in zip(model.loss(batch), model.loss(twice), strict=True):
        assert one.shape == ()
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def always_invalid() -> dict[str, tuple[Callable[[], Any], str]]:
    shape = (1, 8, 8)
    return {
        "no code": (lambda: Autoencoder(shape, 0), "latent_dim is 0:"),
        "no code, sparse": (lambda: SparseAutoencoder(shape, -3), "latent_dim is -3:"),
        "no code, vae": (lambda: VAE(shape, 0), "latent_dim is 0:"),
        "no code, iwae": (lambda: IWAE(shape, 0), "latent_dim is 0:"),
        "rho 0": (lambda: SparseAutoencoder(shape, rho=0.0), "rho is 0.0:"),
        "rho 1": (lambda: SparseAutoencoder(shape, rho=1.0), "rho is 1.0:"),
        "weight": (lambda: SparseAutoencoder(shape, sparsity_weight=-1.0), "sparsity_weight is -1.0:"),
        "beta": (lambda: VAE(shape, beta=-0.5), "beta is -0.5:"),
        "warmup": (lambda: VAE(shape, kl_warmup=-1), "kl_warmup is -1:"),
        "free bits": (lambda: VAE(shape, free_bits=-0.1), "free_bits is -0.1:"),
        "nll": (lambda: VAE(shape, nll_samples=-1), "nll_samples is -1:"),
        "samples": (lambda: IWAE(shape, samples=0), "samples is 0:"),
        "reconstruction": (lambda: Autoencoder(shape, reconstruction="l1"), "reconstruction is 'l1':"),  # type: ignore[arg-type]
        "classes": (lambda: Classifier(shape, 0), "num_classes is 0:"),
        "smoothing": (lambda: Classifier(shape, 10, label_smoothing=1.0), "label_smoothing is 1.0:"),
        "interval": (lambda: VAE(shape, scheduler_interval="batch"), "scheduler_interval is 'batch':"),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("name", always_invalid())
def test_an_impossible_argument_is_one_clear_line(name: str) -> None:
    make, start = always_invalid()[name]
    with pytest.raises(ValueError, match=start) as error:
        make()
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)


def test_the_optimizer_has_every_trained_parameter(technique: type[Technique], build: Callable[..., Any]) -> None:
    model = build(technique, optimizer=partial(SGD, lr=0.1))
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, SGD)
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
