"""Training that begins with the lowest layers of another stack."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from datamodules import Digits, ImageBatch
from lit_models import StackedClassifier
from networks import AutoencoderLayer, BinaryRBM

SHAPE = (1, 8, 8)
DEEP = [partial(AutoencoderLayer, units=units) for units in (20, 15, 12)]


@pytest.fixture
def deeper(tmp_path: Path) -> tuple[StackedClassifier, str]:
    """A stack of three layers, and the path of its checkpoint."""
    torch.manual_seed(1)
    model = StackedClassifier(SHAPE, 10, DEEP)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    path = tmp_path / "deeper.ckpt"
    torch.save({"state_dict": model.state_dict()}, path)
    return model, str(path)


@pytest.fixture
def begin(make_trainer: Callable[..., Any]) -> Callable[[StackedClassifier], None]:
    """Begins a training, of which nothing is left to do."""
    return lambda model: make_trainer(max_epochs=1, limit_train_batches=0).fit(model, Digits())


def test_training_begins_with_the_lowest_layers_of_another_stack(
    deeper: tuple[StackedClassifier, str], make_trainer: Callable[..., Any], batch: ImageBatch
) -> None:
    other, path = deeper
    model = StackedClassifier(SHAPE, 10, DEEP[:2], pretrained=path)
    head = model.network.head.weight.clone()
    expected = batch.image.flatten(1)
    for layer in other.layers[:2]:
        expected = layer.encode(expected)
    model.setup("test")
    assert not torch.allclose(model.embed(batch.image), expected)
    make_trainer(max_epochs=1, limit_train_batches=0).fit(model, Digits())
    for one, its in zip(model.layers, other.layers[:2], strict=True):
        assert all(torch.equal(value, its.state_dict()[name]) for name, value in one.state_dict().items())
    torch.testing.assert_close(model.embed(batch.image), expected)
    assert torch.equal(model.network.head.weight, head)


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        ([partial(AutoencoderLayer, units=20), partial(AutoencoderLayer, units=14)], 2),
        ([partial(AutoencoderLayer, units=20, tied=False)], 1),
        ([partial(BinaryRBM, units=20)], 1),
        ([*DEEP, partial(AutoencoderLayer, units=5)], 4),
    ],
    ids=["width", "untied", "kind", "height"],
)
def test_layers_of_another_kind_are_one_clear_line(
    layers: Any, place: int, deeper: tuple[StackedClassifier, str], begin: Callable[[StackedClassifier], None]
) -> None:
    model = StackedClassifier(SHAPE, 10, layers, pretrained=deeper[1])
    with pytest.raises(ValueError, match=r"^pretrained is '.*deeper.ckpt': ") as error:
        begin(model)
    assert f"its layer {place} is not like that of this model" in str(error.value)
    assert "\n" not in str(error.value)


def unreadable() -> dict[str, Callable[[Path], Any]]:
    def saved(content: Any) -> Callable[[Path], Any]:
        return lambda path: torch.save(content, path)

    def damaged(path: Path) -> None:
        torch.save({"state_dict": {"layers.0.bias": torch.zeros(3)}}, path)
        path.write_bytes(path.read_bytes().replace(b"layers.0.bias", b"layers.\xff.bias"))

    def cut(path: Path) -> None:
        torch.save({"state_dict": {"layers.0.bias": torch.zeros(3)}}, path)
        path.write_bytes(path.read_bytes()[:-200])

    return {
        "text": lambda path: path.write_text("no checkpoint\n"),
        "empty": lambda path: path.write_bytes(b""),
        "bytes": lambda path: path.write_bytes(bytes(range(256))),
        "folder": lambda path: path.mkdir(),
        "damaged": damaged,
        "cut": cut,
        "code": saved({"state_dict": {}, "factory": partial}),
        "no weights": saved({"epoch": 3}),
        "list": saved([1, 2]),
        "tensor": saved(torch.zeros(3)),
        "weights that are a tensor": saved({"state_dict": torch.zeros(3)}),
        "weights that are numbers": saved({"state_dict": {"layers.0.bias": 3}}),
    }


@pytest.mark.parametrize("name", unreadable())
def test_a_file_that_is_no_checkpoint_is_one_clear_line(
    name: str, tmp_path: Path, begin: Callable[[StackedClassifier], None]
) -> None:
    unreadable()[name](tmp_path / "given.ckpt")
    model = StackedClassifier(SHAPE, 10, DEEP, pretrained=str(tmp_path / "given.ckpt"))
    with pytest.raises(ValueError, match=r"^pretrained is '.*given.ckpt': it is no checkpoint, or a damaged") as error:
        begin(model)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_clear_line(begin: Callable[[StackedClassifier], None]) -> None:
    model = StackedClassifier(SHAPE, 10, DEEP, pretrained="nowhere.ckpt")
    with pytest.raises(ValueError, match=r"^pretrained is 'nowhere.ckpt': there is no such file$"):
        begin(model)


@pytest.mark.parametrize("content", [{}, {1: torch.zeros(3)}, {"network.bias": torch.zeros(3)}])
def test_a_checkpoint_without_layers_is_one_clear_line(
    content: Any, tmp_path: Path, begin: Callable[[StackedClassifier], None]
) -> None:
    torch.save({"state_dict": content}, tmp_path / "other.ckpt")
    model = StackedClassifier(SHAPE, 10, DEEP, pretrained=str(tmp_path / "other.ckpt"))
    with pytest.raises(ValueError, match=r"^pretrained is '.*other.ckpt': its layer 1 is not like"):
        begin(model)
