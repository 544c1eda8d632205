"""A network that was trained on other data, and where it comes from."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_transfer import COLOUR, GREY, SMALL, small, transfer
from torch import nn
from torchvision import models

import cli
from lit_models import TransferClassifier
from networks import ConvClassifier, ImageShape, at_domain
from networks.torchvision_networks import torchvision_weights

pytestmark = pytest.mark.usefixtures("no_drawing")


@pytest.fixture
def squeezenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A network of torchvision whose weights lie where torchvision keeps what it downloaded."""
    torch.manual_seed(1)
    network = models.squeezenet1_1()
    known = torchvision_weights("squeezenet1_1")["DEFAULT"]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(network.state_dict(), tmp_path / "hub" / "checkpoints" / Path(known.url).name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network.classifier[1] = nn.Identity()
    return network.eval()


def test_a_new_layer_on_the_features_of_the_old_network(given: str) -> None:
    model = transfer(weights=given).eval()
    image = torch.rand(4, *GREY)
    old = small(1, classes=3).eval()
    assert torch.equal(model.embed(image), old.features(image))
    assert torch.equal(model(image), model.head(old.features(image)))
    assert model.head.weight.shape == (10, 5)


def test_without_weights_it_is_the_network_as_it_was_made() -> None:
    torch.manual_seed(0)
    network = SMALL(ImageShape(*GREY), 10).eval()
    image = torch.rand(4, *GREY)
    assert torch.equal(transfer().eval().embed(image), network.features(image))


def test_the_shipped_classifier_is_taken_if_nothing_is_named() -> None:
    image = torch.rand(4, *COLOUR)
    named = TransferClassifier(COLOUR, 3, weights="mnist_classifier", margin=4).eval()
    unnamed = TransferClassifier(COLOUR, 3, margin=4).eval()
    assert torch.equal(named.embed(image), unnamed.embed(image))
    assert named.backbone.preparation(image).shape == (4, 1, 28, 28)


@pytest.mark.parametrize("channels", [1, 3])
def test_size_channels_and_normalisation_follow_the_weights(channels: int, squeezenet: nn.Module) -> None:
    model = TransferClassifier((channels, 20, 20), 3, backbone="squeezenet1_1", weights="DEFAULT").eval()
    image = torch.rand(2, channels, 20, 20)
    large = F.interpolate(image, (224, 224), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (large.expand(-1, 3, -1, -1) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(model.embed(image), squeezenet(normalised))


def test_what_the_weights_say_of_images_can_be_said_otherwise(squeezenet: nn.Module) -> None:
    settings = {"image_size": 40, "mean": [0.0, 0.1, 0.2], "std": [1.0, 2.0, 4.0]}
    model = TransferClassifier(COLOUR, 3, backbone="squeezenet1_1", weights="IMAGENET1K_V1", **settings).eval()  # type: ignore[arg-type]
    image = torch.rand(2, *COLOUR)
    large = F.interpolate(image, (40, 40), mode="bicubic", antialias=True).clamp(0, 1)
    shift, scale = torch.tensor([0.0, 0.1, 0.2]).view(3, 1, 1), torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1)
    torch.testing.assert_close(model.embed(image), squeezenet((large - shift) / scale))


@pytest.mark.parametrize("named", [True, False])
def test_a_file_of_torchvision_brings_its_normalisation_under_its_own_name(
    named: bool, squeezenet: nn.Module, tmp_path: Path
) -> None:
    (file,) = (tmp_path / "hub" / "checkpoints").iterdir()
    renamed = tmp_path / "renamed.pth"
    file.rename(renamed if not named else tmp_path / file.name)
    path = renamed if not named else tmp_path / file.name
    model = TransferClassifier(COLOUR, 3, backbone="squeezenet1_1", weights=str(path)).eval()
    preparation = model.backbone.preparation
    assert (preparation.mean is not None) == named
    assert preparation.shape == ((3, 224, 224) if named else (3, 20, 20))
    assert torch.equal(model.backbone.network(torch.ones(1, 3, 32, 32)), squeezenet(torch.ones(1, 3, 32, 32)))


def test_the_function_of_torchvision_is_its_name() -> None:
    assert TransferClassifier(COLOUR, 3, backbone=models.squeezenet1_1).backbone.name == "squeezenet1_1"


def run_of(kind: str, folder: Path) -> tuple[Any, Path]:
    """The best model and the folder of a short run."""
    words = [f"--run.dir={folder}", "--run.id=one", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    words += ["--pretraining.epochs=0", "--pretraining.readout_epochs=0", "--trainer.check_val_every_n_epoch=1"]
    fitted = cli.main(["fit", f"--config=configs/{kind}/digits.yaml", *words])
    fitted.model.load_state_dict(torch.load(fitted.run.best, weights_only=True)["state_dict"])
    return fitted.model.eval(), fitted.run.path


def test_a_run_brings_its_network_by_its_checkpoint_its_folder_or_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, folder = run_of("classifier", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    image = torch.rand(3, *COLOUR)
    for weights in (str(folder / "checkpoints" / "best.ckpt"), str(folder), "one"):
        model = TransferClassifier(COLOUR, 4, weights=weights).eval()
        prepared = model.backbone.preparation(image)
        assert prepared.shape == (3, *GREY)
        assert torch.equal(model.embed(image), trained.embed(prepared))
    named = TransferClassifier(COLOUR, 4, backbone=partial(ConvClassifier, channels=(16, 32)), weights="one").eval()
    assert torch.equal(named.embed(image), trained.embed(prepared))
    (folder.parent.with_name("other") / "one").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"^weights is 'one': several experiments have such a run \(runs"):
        transfer(weights="one")
    with pytest.raises(ValueError, match=r"^weights is 'runs/other/one': runs/other/one has no checkpoints/best.ckpt"):
        transfer(weights="runs/other/one")


@pytest.mark.parametrize("kind", ["vae", "dann", "transfer", "stacked"])
def test_every_technique_with_a_network_of_images_can_be_gone_on_with(kind: str, tmp_path: Path) -> None:
    trained, folder = run_of(kind, tmp_path)
    shape = COLOUR if kind == "transfer" else trained.hparams.get("image_shape") or trained.hparams["data_shape"]
    model = TransferClassifier(shape, 4, weights=str(folder)).eval()
    image = torch.rand(3, *shape)
    feature = model.embed(image)
    if kind == "vae":  # whose last layer gives the code
        code = F.linear(feature, *trained.encoder[-1].parameters())
        torch.testing.assert_close(code[:, : code.shape[1] // 2], trained.embed(image))
    elif kind == "dann":
        at_domain(trained.extractor, "target")
        torch.testing.assert_close(feature, trained.extractor(image))
    else:
        torch.testing.assert_close(feature, trained.embed(image))
