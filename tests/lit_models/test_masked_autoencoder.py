"""Patches that are hidden and guessed, and what a classifier makes of the encoder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import cli
from callbacks.protocols import Corrupting
from datamodules import Digits, ImageBatch
from lit_models import MaskedAutoencoder, TransferClassifier
from networks import KeyedNoise, MaskedDecoder, PatchEncoder, VisionTransformer, images, patches

SIZES: dict[str, Any] = {"patch_size": 2, "dim": 24, "heads": 2, "layers": 2}


def hidden_of(model: MaskedAutoencoder, batch: ImageBatch) -> torch.Tensor:
    """bool (B, N), which patches evaluation hides."""
    places = torch.zeros(len(batch.index), model.patches, dtype=torch.bool)
    return places.scatter(1, model.mask(KeyedNoise(batch.index)).hidden, True)


@pytest.mark.parametrize("normalise", [False, True])
def test_terms_by_hand(normalise: bool, build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(MaskedAutoencoder, normalise_patches=normalise).eval()
    target = patches(batch.image, 2).double()
    if normalise:
        target = (target - target.mean(2, keepdim=True)) / (target.var(2, keepdim=True) + 1e-6).sqrt()
    guess = model.guess(batch.image, model.mask(KeyedNoise(batch.index)).kept)
    hidden = hidden_of(model, batch)
    assert hidden.sum(1).eq(12).all()  # of 16 patches
    expected = ((guess - target)[hidden] ** 2).mean()
    torch.testing.assert_close(model.loss(batch).total.double(), expected)


def test_hidden_patches_cannot_be_peeped_at(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(MaskedAutoencoder).eval()
    mask = model.mask(KeyedNoise(batch.index))
    other = patches(1 - batch.image, 2)
    other[~hidden_of(model, batch)] = patches(batch.image, 2)[~hidden_of(model, batch)]
    guess = model.guess(images(other, model.shape, 2), mask.kept)
    assert torch.equal(guess, model.guess(batch.image, mask.kept))


def test_features_are_of_the_whole_image(build: Callable[..., Any], batch: ImageBatch) -> None:
    for pooling in ("class_token", "mean"):
        model = build(MaskedAutoencoder, encoder=partial(PatchEncoder, **SIZES, pooling=pooling)).eval()
        feature = model(batch.image)
        assert feature.shape == (200, 24)
        assert torch.equal(feature, model.encoder(batch.image))
        moved = batch.image.clone()
        moved[:, :, -1, -1] += 0.5
        assert not torch.isclose(model(moved), feature).all(1).any()


def test_grey_covers_the_patches_that_evaluation_hides(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(MaskedAutoencoder).eval()
    assert isinstance(model, Corrupting)
    covered, whole = patches(model.corrupt(batch.image, batch.index), 2), patches(batch.image, 2)
    hidden = hidden_of(model, batch)
    assert (covered[hidden] == 0.5).all()
    assert torch.equal(covered[~hidden], whole[~hidden])
    assert torch.equal(model.train().corrupt(batch.image, batch.index), model.eval().corrupt(batch.image, batch.index))


def test_reconstructions_are_the_guesses_in_place_of_the_grey(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(MaskedAutoencoder).eval()
    with torch.no_grad():
        made = patches(model.reconstruct(model.corrupt(batch.image, batch.index)), 2)
        guess = model.guess(batch.image, model.mask(KeyedNoise(batch.index)).kept).clamp(0, 1)
    hidden, whole = hidden_of(model, batch), patches(batch.image, 2)
    torch.testing.assert_close(made[hidden], guess[hidden])
    assert torch.equal(made[~hidden], whole[~hidden])


@pytest.mark.parametrize("normalise", [False, True])
def test_any_patches_may_be_missing(normalise: bool, build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(MaskedAutoencoder, normalise_patches=normalise).eval()
    image = batch.image[:4].clone()
    image[1, :, :2, :2] = 0.5
    image[2, :, 4:] = 0.5
    image[3] = 0.5
    with torch.no_grad():
        made = model.reconstruct(image)
        alone = torch.cat([model.reconstruct(one.unsqueeze(0)) for one in image])
    torch.testing.assert_close(made, alone)
    assert made.isfinite().all()
    assert torch.equal(made[[0, 3]], image[[0, 3]])  # nothing is missing, and nothing is known
    assert torch.equal(made[1, :, 2:], image[1, :, 2:])
    assert (made[1, :, :2, :2] != 0.5).any()


def test_training_fills_in_what_is_hidden(
    build: Callable[..., Any], make_trainer: Callable[..., Any], batch: ImageBatch
) -> None:
    model, data = build(MaskedAutoencoder), Digits(batch_size=32)
    make_trainer(max_epochs=3).fit(model, data)
    logged = make_trainer().test(model, data, verbose=False)[0]
    assert logged["test/mean_patch_ratio"] == pytest.approx(logged["test/total"] / logged["test/mean_patch"])
    assert logged["test/mean_patch_ratio"] < 0.8
    with torch.no_grad():
        grey = model.eval().corrupt(batch.image, batch.index)
        error = (model.reconstruct(grey) - batch.image).square().mean()
    assert error < 0.5 * (grey - batch.image).square().mean()


def test_normalised_patches_are_learned_too(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model, data = build(MaskedAutoencoder, normalise_patches=True), Digits(batch_size=32)
    before = make_trainer().validate(model, data, verbose=False)[0]["val/total"]
    make_trainer(max_epochs=3).fit(model, data)
    assert make_trainer().validate(model, data, verbose=False)[0]["val/total"] < 0.9 * before


def test_the_baseline_of_the_test_by_hand(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model, data = build(MaskedAutoencoder), Digits(eval_batch_size=100)
    logged = make_trainer().test(model, data, verbose=False)[0]
    errors = []
    for batch in data.test_dataloader():
        clean = batch._replace(image=batch.image.float() / 255)
        for patch, hidden in zip(patches(clean.image, 2), hidden_of(model, clean), strict=True):
            errors.append((patch[hidden] - patch[~hidden].mean(0)).square().mean().item())
    assert logged["test/mean_patch"] == pytest.approx(sum(errors) / len(errors), rel=1e-4)


def test_an_impossible_argument_is_one_clear_line() -> None:
    for settings, start in (
        ({"mask_ratio": 0.99}, "mask_ratio is 0.99: choose a share above 0 that leaves at least one of 16 patches"),
        ({"encoder": partial(PatchEncoder, patch_size=3)}, "patch_size is 3: choose a divisor of"),
    ):
        with pytest.raises(ValueError, match=f"^{start}") as error:
            MaskedAutoencoder((1, 8, 8), **{"encoder": partial(PatchEncoder, patch_size=2), **settings})
        assert "\n" not in str(error.value)


def test_colour_and_oblong_images(batch: ImageBatch) -> None:
    torch.manual_seed(0)
    image, index = torch.rand(5, 3, 6, 10), torch.arange(5)
    model = MaskedAutoencoder(
        (3, 6, 10), encoder=partial(PatchEncoder, **SIZES), decoder=partial(MaskedDecoder, dim=16)
    ).eval()
    assert model.loss(batch._replace(image=image, index=index)).total.isfinite()
    assert model.reconstruct(model.corrupt(image, index)).shape == image.shape


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[MaskedAutoencoder, str]:
    """The best model of a short run without labels, and the run's folder."""
    folder = tmp_path_factory.mktemp("runs")
    sizes = [f"--model.init_args.encoder.init_args.{name}={value}" for name, value in SIZES.items()]
    words = ["--config=configs/masked_autoencoder/digits.yaml", *sizes, "--trainer.max_epochs=1"]
    words += ["--trainer.limit_train_batches=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent.parent.parent)
        patch.setenv("WANDB_MODE", "disabled")
        fitted = cli.main(["fit", *words, f"--run.dir={folder}", "--run.id=one", "--pictures.every_n_epochs=100"])
    assert fitted.run.best is not None
    fitted.model.load_state_dict(torch.load(fitted.run.best, weights_only=True)["state_dict"])
    return fitted.model.eval(), str(fitted.run.path)


def test_a_classifier_begins_with_the_encoder_of_a_run(
    pretrained: tuple[MaskedAutoencoder, str], batch: ImageBatch
) -> None:
    trained, folder = pretrained
    model = TransferClassifier((1, 8, 8), 10, weights=folder).eval()
    assert torch.equal(model.embed(batch.image), trained(batch.image))
    assert model.backbone.head_name is None
    names = [block.name for block in model.blocks]
    assert names[0] == "embedding"
    assert names[-2:] == ["encoder.blocks.0", "encoder.blocks.1"]
    held = {id(parameter) for block in model.blocks for parameter in block.parameters}
    assert held == {id(parameter) for parameter in model.backbone.parameters()}


def test_from_scratch_it_is_the_same_network(pretrained: tuple[MaskedAutoencoder, str]) -> None:
    _, folder = pretrained
    on = TransferClassifier((1, 8, 8), 10, weights=folder)
    pooling = "class_token" if on.backbone.network.prefix else "mean"
    positions = "learned" if isinstance(on.backbone.network.position, torch.nn.Parameter) else "sinusoidal"
    network = partial(VisionTransformer, **SIZES, pooling=pooling, positions=positions)
    scratch = TransferClassifier((1, 8, 8), 10, backbone=network)
    shapes = [
        [tuple(parameter.shape) for block in model.blocks for parameter in block.parameters] for model in (on, scratch)
    ]
    assert shapes[0] == shapes[1]
    assert len(on.rates) == len(scratch.rates)
