"""What is drawn of a classifier's test, from which images, and that Grad-CAM is what its paper says."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn import IMAGES, Plain, labelled, loader, names, pixels, trainer_in
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks import ClassifierPictures, classifier_pictures
from callbacks.classifier_pictures import heat_maps, shown
from callbacks.grad_cam import grad_cam
from datamodules.batch import ImageBatch
from lit_models import Classifier, StackedClassifier
from networks import ConvClassifier, ImageShape

ALL = ["test_confusion.png", "test_misclassified.png", "test_grad_cam.png"]
SHAPE = (1, 8, 8)


class Pooling(nn.Module):
    """Convolution, global average pooling, a linear layer."""

    def __init__(self, shape: ImageShape, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(shape.channels, 5, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(5, classes)

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.body(image)
        return maps, self.head(maps.mean((2, 3)))

    def forward(self, image: Tensor) -> Tensor:
        return self.feature_maps(image)[1]


class Oracle(Plain):
    """Is sure of what it says by the position of an image, and wrong where that is a multiple of 5."""

    mapped = True

    def test_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Tensor]:  # type: ignore[override]
        wrong = (batch.index % 5 == 0).long()
        probability = torch.full((len(batch.index), 3), 0.1)
        said = (batch.label + wrong) % 3
        probability[torch.arange(len(said)), said] = 0.4 + batch.index / 100
        return {"probability": probability, "label": batch.label, "index": batch.index}

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor] | None:
        if not self.mapped:
            return None
        maps = image.reshape(-1, 4, 4, 4)
        return maps, maps.flatten(2).amax(2)[:, :3]


class Kept(ClassifierPictures):
    """Keeps the figures."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: dict[str, Figure] = {}

    def _publish(self, trainer: Any, name: str, figure: Figure) -> None:
        self.figures[name] = figure


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_of_pooled_maps_and_a_linear_layer_it_is_the_class_activation_mapping() -> None:
    network = Pooling(ImageShape(2, 6, 4), 3).double()
    image = torch.rand(7, 2, 6, 4, dtype=torch.float64)
    classes = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    maps, logits = network.feature_maps(image)
    by_weights = torch.einsum("bk,bkhw->bhw", network.head.weight[classes], maps) / 24
    torch.testing.assert_close(grad_cam(maps, logits, classes), by_weights.relu())
    assert (by_weights < 0).any()
    assert (by_weights > 0).any()


def test_weights_of_the_maps_are_means_of_their_slopes() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]]]], requires_grad=True)
    logits = torch.stack([maps[:, 0].square().sum((1, 2)), maps[:, 0].sum((1, 2)) - 3 * maps[:, 1, 0, 0]], dim=1)
    assert grad_cam(maps, logits, torch.tensor([0])).tolist() == [[[5, 10], [15, 20]]]  # 2 (1 + 2 + 3 + 4) / 4 = 5
    assert grad_cam(maps, logits, torch.tensor([1])).tolist() == [[[0.25, 2], [3, 3.25]]]  # A_0 - 3/4 A_1
    assert maps.grad is None


@pytest.mark.parametrize("frozen", [False, True])
def test_heat_leaves_the_model_as_it_was_and_needs_no_trained_weights(frozen: bool) -> None:
    model = Classifier(SHAPE, 3, ConvClassifier)
    model.requires_grad_(not frozen)
    before = copy.deepcopy(model.state_dict())
    image = (IMAGES[:6] * 255).to(torch.uint8).numpy()
    classes = np.array([0, 1, 2, 0, 1, 2])
    with torch.inference_mode():
        together = heat_maps(model, image, [classes, np.roll(classes, 1)])
    assert together is not None
    for heat, asked in zip(together, (classes, np.roll(classes, 1)), strict=True):
        assert heat.shape == (6, 2, 2)
        assert (heat >= 0).all()
        alone = [heat_maps(model, image[one : one + 1], [asked[one : one + 1]]) for one in range(6)]
        torch.testing.assert_close(torch.cat([part[0] for part in alone if part]), heat)
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad != frozen for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_most_certain_mistakes_and_the_first_right_of_each_class_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_pictures, "MISTAKES", 3)
    said = {
        "index": np.array([7, 3, 5, 0, 9, 2, 1, 8]),
        "label": np.array([0, 1, 0, 1, 0, 0, 12, 1]),
        "predicted": np.array([0, 1, 0, 0, 1, 1, 12, 0]),
        "certainty": np.array([0.9, 0.9, 0.2, 0.5, 0.7, 0.7, 0.9, 0.4]),
    }
    assert said["index"][shown(said)].tolist() == [2, 9, 0, 5, 3]  # of class 12 none, it is not among the first


def test_the_pictures_say_what_the_model_said(tmp_path: Path) -> None:
    pictures = Kept()
    trainer_in(tmp_path, pictures).test(Oracle(), loader(), verbose=False)
    confused, mistakes, heat = pictures.figures.values()
    right = "79.2% of 48 test images right"
    assert confused.axes[0].get_title("left") == right
    assert [text.get_text() for text in confused.axes[0].texts][:4] == ["75%", "12", "25%", "4"]
    heading = "All mistakes: the class that was said (red), and the true one"
    assert texts(mistakes)[:4] == [right, heading, "1  85.0%", "0  10.0%"]  # of image 45
    assert len(texts(mistakes)) == 2 + 2 * 10
    assert texts(heat)[2:8] == ["true: 0", "true: 1", "true: 2", "0  43.0%", "1  41.0%", "2  42.0%"]
    assert texts(heat)[9:19] == [f"true: {index % 3}" for index in range(45, -1, -5)]
    assert texts(heat)[19] == "1  85.0%"
    assert texts(heat)[29] == "0  10.0%"


def test_a_network_without_maps_gets_no_heat(tmp_path: Path) -> None:
    pictures, model = Kept(), Oracle()
    model.mapped = False
    trainer_in(tmp_path, pictures).test(model, loader(), verbose=False)
    assert list(pictures.figures) == ["test_confusion", "test_misclassified"]


def test_without_mistakes_the_picture_says_so(tmp_path: Path) -> None:
    class Perfect(Oracle):
        def test_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Tensor]:  # type: ignore[override]
            return {**super().test_step(batch, batch_idx), "probability": torch.eye(3)[batch.label]}

    pictures = Kept()
    trainer_in(tmp_path, pictures).test(Perfect(), loader(), verbose=False)
    assert texts(pictures.figures["test_misclassified"]) == ["100.0% of 48 test images right: there are no mistakes"]
    assert len(texts(pictures.figures["test_grad_cam"])) == 2 + 6


def test_techniques_are_drawn_as_far_as_their_networks_allow(tmp_path: Path) -> None:
    for model, expected in ((Classifier(SHAPE, 3), ALL), (StackedClassifier(SHAPE, 3), ALL[:2]), (Plain(), [])):
        pictures = ClassifierPictures()
        folder = tmp_path / type(model).__name__
        trainer = trainer_in(folder, pictures, max_epochs=1)
        trainer.fit(model, loader(), loader())
        assert pictures.paths == []  # test data are for test alone
        trainer.test(model, loader(), verbose=False)
        trainer.test(model, loader(), verbose=False)
        assert names(pictures) == expected  # type: ignore[arg-type]
        assert sorted(pictures.paths) == sorted((folder / "media").glob("*"))


def test_a_second_test_starts_anew(tmp_path: Path) -> None:
    pictures = Kept()
    trainer = trainer_in(tmp_path, pictures)
    trainer.test(Oracle(), loader(), verbose=False)
    trainer.test(Oracle(), loader(range(10)), verbose=False)
    assert texts(pictures.figures["test_misclassified"])[0] == "80.0% of 10 test images right"
    assert len(texts(pictures.figures["test_misclassified"])) == 2 + 2 * 2


def test_classes_are_called_by_their_names(tmp_path: Path) -> None:
    from lightning.pytorch import LightningDataModule

    class Named(LightningDataModule):
        class_names = ("ant", "bee", "a class with a very long name")

        def test_dataloader(self) -> DataLoader[int]:
            return loader(range(10))

    pictures = Kept()
    trainer_in(tmp_path, pictures).test(Oracle(), datamodule=Named(), verbose=False)
    assert texts(pictures.figures["test_misclassified"])[2:4] == ["ant  45.0%", "a class with …  10.0%"]


def test_two_processes_draw_what_one_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Classifier(SHAPE, 3)
    for folder, settings in (("one", {"devices": 1}), ("two", {"devices": 2, "strategy": "ddp_fork"})):
        trainer = trainer_in(tmp_path / folder, None, **settings)  # type: ignore[arg-type]
        trainer.callbacks.append(ClassifierPictures())  # type: ignore[attr-defined]
        data: DataLoader[int] = DataLoader(range(48), batch_size=5, collate_fn=labelled)  # type: ignore[arg-type]
        trainer.test(model, data, verbose=False)
    for name in ALL:
        assert torch.equal(*(pixels(tmp_path / folder / "media" / name) for folder in ("one", "two")))


def test_pictures_are_drawn_of_double_and_of_bfloat16(tmp_path: Path) -> None:
    for precision in ("64-true", "bf16-mixed"):
        pictures = ClassifierPictures()
        trainer_in(tmp_path / precision, pictures, precision=precision).test(
            Classifier(SHAPE, 3), loader(), verbose=False
        )
        assert names(pictures) == ALL  # type: ignore[arg-type]
