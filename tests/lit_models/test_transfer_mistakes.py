"""Weights and settings of transfer that cannot be: each mistake is one clear line."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from small_transfer import COLOUR, GREY, SMALL, small, transfer
from torch import nn

from lit_models import TransferClassifier

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
