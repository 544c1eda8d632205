"""A network that was trained on other data, a new classification layer, and every mistake in one line."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR
from torchvision import models

import cli
from datamodules import Digits, ImageBatch
from lit_models import TransferClassifier, WarmupCosine
from networks import ConvClassifier, FeatureCache, ImageShape, Mixed, Mixing, at_domain
from networks.torchvision_networks import torchvision_weights

GREY, COLOUR = (1, 8, 8), (3, 20, 20)
SMALL = partial(ConvClassifier, channels=(4, 6), features=5)


def small(seed: int = 0, shape: tuple[int, int, int] = GREY, classes: int = 10) -> ConvClassifier:
    torch.manual_seed(seed)
    return SMALL(ImageShape(*shape), classes)


def transfer(**kwargs: Any) -> TransferClassifier:
    """A small network for the digits, with the weights of another seed where there are any."""
    torch.manual_seed(0)
    return TransferClassifier(GREY, 10, **{"backbone": SMALL, **kwargs})


@pytest.fixture
def given(tmp_path: Path) -> str:
    """A file of weights of the small network, for three classes."""
    torch.save(small(1, classes=3).state_dict(), tmp_path / "given.pth")
    return str(tmp_path / "given.pth")


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


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no such weights": (
        {"weights": "nowhere.pth"},
        "weights is 'nowhere.pth': there is no such file, and no run of that id in runs/*/; names of torchvision's",
    ),
    "near name": (
        {"backbone": None, "weights": "mnist_clasifier"},
        "weights is 'mnist_clasifier': there is no such file, and no run of that id in runs/*/, did you mean "
        "'mnist_classifier'?",
    ),
    "weights of torchvision": (
        {"backbone": "squeezenet1_1", "weights": "IMAGENET"},
        "weights is 'IMAGENET': there is no such file, and no run of that id in runs/*/; torchvision has "
        "IMAGENET1K_V1, DEFAULT for squeezenet1_1",
    ),
    "weights of torchvision elsewhere": ({"weights": "DEFAULT"}, "weights is 'DEFAULT': there is no such file"),
    "unknown network": (
        {"backbone": "squeezenet"},
        "backbone is 'squeezenet': torchvision has no such classifier, did",
    ),
    "no head": (
        {"backbone": lambda shape, classes: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())},
        "Sequential has no recognisable classification layer: its last one is Conv2d '0' and it gives 144 values",
    ),
    "not of a shape and classes": (
        {"backbone": nn.Linear},
        "backbone is not made of an image shape and a number of classes (",
    ),
    "size of the shipped": (
        {"backbone": None, "image_size": 32},
        "image_size is 32: the network of weights 'MNIST classifier 89bf4908' takes 28x28, leave it out",
    ),
    "size": ({"image_size": 0}, "image_size is 0: the network takes images of at least one pixel"),
    "margin": ({"margin": 4}, "margin is 4: choose one in [0, 4)"),
    "dropout": ({"dropout": 1.0}, "dropout is 1.0: it is the share of features left out, in [0, 1)"),
    "rate": ({"backbone_rate": 0.0}, "backbone_rate is 0.0: choose more than 0, or freeze by unfreezing.strategy"),
    "decay": ({"layer_decay": 1.5}, "layer_decay is 1.5: it is a factor from block to block, in (0, 1]"),
    "decay 0": ({"layer_decay": 0.0}, "layer_decay is 0.0: it is a factor from block to block, in (0, 1]"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings, start = MISTAKES[name]
    with pytest.raises(ValueError, match=f"^{re.escape(start)}") as error:
        transfer(**settings)
    assert "\n" not in str(error.value)


def test_weights_that_do_not_fit_are_one_clear_line(given: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^weights is '.*given.pth': they are not of this ConvClassifier: .*body\.9"):
        TransferClassifier((1, 20, 20), 10, backbone=SMALL, weights=given)
    with pytest.raises(ValueError, match=r"^weights is '.*given.pth': none of them belongs to squeezenet1_1"):
        TransferClassifier(COLOUR, 10, backbone="squeezenet1_1", weights=given)
    with pytest.raises(ValueError, match=r"it does not tell which network it is of, name the backbone$"):
        TransferClassifier(GREY, 10, weights=given)


@pytest.mark.parametrize("classes", [0, 1])
def test_a_wrong_number_of_classes_is_found_before_any_weights_are_read(classes: int) -> None:
    with pytest.raises(ValueError, match=f"^num_classes is {classes}: a classifier needs data with labels"):
        TransferClassifier(GREY, classes, weights="nowhere.pth")


def test_images_with_other_channels_are_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"was given \(1, 2, 8, 8\): it takes .* with C one or three$"):
        TransferClassifier((2, 8, 8), 10)


def test_only_a_part_that_fits_is_reported(tmp_path: Path) -> None:
    state = {name: value for name, value in small(1).state_dict().items() if not name.startswith("head")}
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in state.items()} | {"model.projector": torch.zeros(2)}},
        tmp_path / "a",
    )
    with pytest.warns(UserWarning, match=r"there, not used \(1\): projector"):
        transfer(weights=str(tmp_path / "a"))


def test_weights_that_fit_are_taken_in_silence(given: str, recwarn: pytest.WarningsRecorder) -> None:
    transfer(weights=given)
    assert not recwarn.list


def test_parameters_are_grouped_by_block_each_once() -> None:
    model = transfer(backbone_rate=0.5, layer_decay=0.1, optimizer=partial(AdamW, lr=0.2))
    groups = model.configure_optimizers().param_groups
    assert [group["name"] for group in groups] == ["body.0", "body.4", "body.9", "head"]
    assert [group["lr"] for group in groups] == pytest.approx([0.2 * 0.5 * 0.01, 0.2 * 0.5 * 0.1, 0.2 * 0.5, 0.2])
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters()}


def test_equal_parameters_are_in_one_group_each() -> None:
    def equal(shape: ImageShape, classes: int) -> nn.Module:
        layers = nn.Linear(64, 64), nn.Linear(64, 64)
        layers[1].load_state_dict(layers[0].state_dict())
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, classes))

    model = transfer(backbone=equal, layer_decay=0.5, optimizer=partial(SGD, lr=1.0))
    groups = model.configure_optimizers().param_groups
    assert [[id(parameter) for parameter in group["params"]] for group in groups] == [
        [id(parameter) for parameter in layer.parameters()]
        for layer in (*model.backbone.network[1:3], model.head)  # type: ignore[index]
    ]


def test_the_schedule_keeps_the_proportions_of_the_rates() -> None:
    model = transfer(layer_decay=0.5, optimizer=partial(SGD, lr=1.0), scheduler=partial(WarmupCosine, warmup=0.5))
    optimizer = model.make_optimizer()
    schedule = WarmupCosine(optimizer, warmup=0.5)
    schedule.start(10)
    for _ in range(7):
        optimizer.step()
        schedule.step()
        rates = [group["lr"] for group in optimizer.param_groups]
        assert [rate / rates[-1] for rate in rates] == pytest.approx([0.25, 0.5, 1, 1])


@pytest.mark.parametrize(
    "scheduler",
    [partial(OneCycleLR, max_lr=0.1, total_steps=10), partial(CyclicLR, base_lr=0.1, max_lr=0.2, cycle_momentum=False)],
)
def test_a_schedule_that_would_ignore_the_rates_is_refused(scheduler: Any) -> None:
    optimizer = partial(SGD, lr=0.1)
    with pytest.raises(ValueError, match=r"^scheduler is \w+: it sets rates of its own, and backbone_rate"):
        transfer(layer_decay=0.5, optimizer=optimizer, scheduler=scheduler).configure_optimizers()
    transfer(optimizer=optimizer, scheduler=scheduler).configure_optimizers()


@pytest.mark.parametrize("n", range(4))
def test_only_the_highest_blocks_and_the_new_layer_change(n: int, batch: ImageBatch) -> None:
    model = transfer(optimizer=partial(AdamW, lr=0.01, weight_decay=0.1))
    model.train_blocks(n)
    assert model.trained_blocks == n
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = model.configure_optimizers()
    for _ in range(2):
        optimizer.zero_grad()
        model.loss(batch).total.backward()
        optimizer.step()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for place, block in enumerate(model.blocks):
        for parameter in block.parameters:
            assert torch.equal(parameter, before[names[id(parameter)]]) == (place < 3 - n)
            assert (parameter in optimizer.state) == (place >= 3 - n)
    statistics = [name for name in before if "running" in name]
    moved = [not torch.equal(before[name], model.state_dict()[name]) for name in statistics]
    assert moved == [n >= 3] * 2 + [n >= 2] * 2
    assert not torch.equal(model.head.weight, before["network.head.weight"])


def test_features_that_are_kept_take_the_place_of_the_images(batch: ImageBatch) -> None:
    model = transfer()
    model.train_blocks(0)
    expected = model.loss(batch)
    order = torch.randperm(200)
    kept = torch.empty(200, 5)
    kept[order] = model.embed(batch.image).detach()
    blank = ImageBatch(torch.zeros_like(batch.image), batch.label, order)
    model.cached = FeatureCache(kept, None)
    assert torch.equal(model.loss(blank).total, expected.total)
    assert torch.equal(model.eval().loss(batch).total, expected.total)  # no validation part is kept
    model.cached = FeatureCache(None, kept)
    assert torch.equal(model.loss(blank).total, expected.total)
    assert torch.equal(model.train().loss(batch).total, expected.total)
    model.on_fit_end()
    assert model.cached is None


class HalfAndHalf(Mixing):
    """Mixes each image with the next one, a quarter of it."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def forward(self, image: Tensor) -> Mixed:
        partner = torch.arange(len(image)).roll(-1)
        return Mixed(0.75 * image + 0.25 * image[partner], partner, torch.full((len(image),), 0.75))


def test_mixed_images_have_mixed_targets_in_training_only(batch: ImageBatch) -> None:
    model, plain = transfer(mixing=HalfAndHalf(), label_smoothing=0.1), transfer(label_smoothing=0.1)
    assert (model.mixes, plain.mixes) == (True, False)
    nexts = batch.label.roll(-1)
    logits = plain(0.75 * batch.image + 0.25 * batch.image.roll(-1, 0))
    cross = partial(F.cross_entropy, logits, label_smoothing=0.1)
    terms = transfer(mixing=HalfAndHalf(), label_smoothing=0.1).loss(batch)
    torch.testing.assert_close(terms.total, 0.75 * cross(batch.label) + 0.25 * cross(nexts))
    assert terms.accuracy.item() == pytest.approx((logits.argmax(1) == batch.label).float().mean().item())
    model.load_state_dict(plain.state_dict())  # with statistics of batches
    torch.testing.assert_close(model.eval().loss(batch), plain.eval().loss(batch))


def test_predictions_are_those_of_the_whole(batch: ImageBatch) -> None:
    model = transfer(dropout=0.5).eval()
    prediction = model.predict_step(batch, 0)
    assert torch.equal(prediction["latent"], model.embed(batch.image))
    assert torch.equal(prediction["predicted"], model(batch.image).argmax(1))


def test_maps_and_the_classes_that_come_from_them(batch: ImageBatch) -> None:
    model = transfer().eval()
    found = model.feature_maps(batch.image)
    assert found is not None
    maps, logits = found
    assert maps.shape[:2] == (200, 6)
    assert torch.equal(logits, model(batch.image))
    flat = transfer(
        backbone=lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, classes))
    )
    assert flat.feature_maps(batch.image) is None


def test_ten_labels_a_class_are_enough_for_the_shipped_classifier(make_trainer: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"margin": 4, "optimizer": partial(AdamW, lr=2e-3), "backbone_rate": 0.5}
    model, data = TransferClassifier(GREY, 10, **settings), Digits(batch_size=20, train_per_class=10)
    trainer = make_trainer(max_epochs=10, limit_val_batches=0)
    trainer.fit(model, data)
    assert trainer.test(model, data, verbose=False)[0]["test/accuracy"] > 0.93
