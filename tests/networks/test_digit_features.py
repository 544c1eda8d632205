"""The classifier that the package ships, and the features that come from it."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from sklearn.datasets import load_digits

from datamodules import MNIST
from networks import DigitFeatures
from networks.pretrained import _SHIPPED

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="module")
def features() -> DigitFeatures:
    return DigitFeatures()


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images).float().div(16).view(-1, 1, 8, 8), torch.from_numpy(labels)


def accuracy(features: DigitFeatures, image: torch.Tensor, label: torch.Tensor) -> float:
    with torch.no_grad():
        return (features.network(features.prepare(image)).argmax(1) == label).double().mean().item()


def test_the_file_is_small_and_the_one_that_is_described() -> None:
    weights = _SHIPPED.read_bytes()
    assert len(weights) < 1_000_000
    made = json.loads(_SHIPPED.with_suffix(".json").read_text())
    assert hashlib.sha256(weights).hexdigest() == made.pop("sha256")
    with safe_open(_SHIPPED, "pt") as file:
        assert {key: json.loads(value) for key, value in file.metadata().items()} == made
    assert not made["git_modified"]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 5, 40)])
def test_images_of_any_size_have_features(features: DigitFeatures, shape: tuple[int, int, int]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = features.train()(torch.rand(6, *shape).requires_grad_())
    assert found.shape == (6, features.dim) == (6, 64)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert not any(parameter.requires_grad for parameter in features.parameters())
    assert not features.network.training


def test_a_converted_model_does_not_break_them(features: DigitFeatures) -> None:
    image = torch.rand(4, 1, 28, 28)
    found = DigitFeatures().double()(image.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features(image), rtol=1e-4, atol=1e-5)


def test_a_grey_picture_in_colour_is_the_grey_picture(features: DigitFeatures) -> None:
    grey = torch.rand(3, 1, 20, 20)
    torch.testing.assert_close(features.prepare(grey.expand(-1, 3, -1, -1)), features.prepare(grey))
    with pytest.raises(ValueError, match=r"was given \(3, 4, 20, 20\)"):
        features(torch.rand(3, 4, 20, 20))


def test_the_description_names_the_weights(features: DigitFeatures) -> None:
    digest = hashlib.sha256(_SHIPPED.read_bytes()).hexdigest()
    assert features.description == f"MNIST classifier {digest[:8]}, 64 features"
    assert DigitFeatures(4).description == f"{features.description}, margin 4"


@pytest.mark.parametrize("margin", [-1, 14])
def test_a_margin_leaves_an_image(margin: int) -> None:
    with pytest.raises(ValueError, match=f"margin is {margin}: choose"):
        DigitFeatures(margin)


def test_a_margin_is_black_and_the_image_inside_it() -> None:
    image = torch.rand(2, 1, 20, 20)
    assert torch.equal(DigitFeatures(4).prepare(image), F.pad(image, (4, 4, 4, 4)))


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    altered = tmp_path / _SHIPPED.name
    altered.write_bytes(_SHIPPED.read_bytes()[:-1] + b"\0")
    altered.with_suffix(".json").write_text(_SHIPPED.with_suffix(".json").read_text())
    monkeypatch.setattr("networks.pretrained._SHIPPED", altered)
    with pytest.raises(ValueError, match="it was altered, install it again"):
        DigitFeatures()


@pytest.mark.parametrize(("margin", "least"), [(0, 0.7), (4, 0.9)])  # 0.740 and 0.936 when it was made
def test_it_knows_digits_of_another_set(margin: int, least: float, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert accuracy(DigitFeatures(margin), *digits) > least


def test_features_of_one_class_are_closer_than_those_of_two(
    features: DigitFeatures, digits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    image, label = digits
    code = F.normalize(features(image))
    similar = code @ code.T
    same = label.unsqueeze(0) == label.unsqueeze(1)
    assert similar[same].mean() > similar[~same].mean() + 0.2


@pytest.mark.skipif(not (DATA / "MNIST").exists(), reason="MNIST is not at hand, and tests download nothing")
def test_it_classifies_mnist(features: DigitFeatures) -> None:
    image, label = MNIST(root=str(DATA), download=False).read(train=False)
    assert accuracy(features, image.float() / 255, label) >= 0.993
