"""The classifiers of torchvision by their names, with the weights that torchvision has for them or without."""

import difflib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from networks.preparation import Preparation
from networks.pretrained import read_file
from networks.shapes import ImageShape

_COLOURS = 3


def torchvision_names() -> list[str]:
    """Names of all classifiers of torchvision."""
    names: list[str] = models.list_models(module=models)
    return names


def check_torchvision_name(name: str) -> None:
    """Refuse a name that torchvision has not.

    Raises:
        ValueError: naming those that are most like it.
    """
    if name not in torchvision_names():
        near = difflib.get_close_matches(name, torchvision_names(), n=3, cutoff=0.4)
        meant = f", did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"backbone is {name!r}: torchvision has no such classifier{meant or ','} "
            "or give the class_path of your own network"
        )


def torchvision_weights(name: str) -> dict[str, Any]:
    """The weights that torchvision has for a network by their names, `DEFAULT` among them."""
    enum = models.get_model_weights(name)
    return dict(enum.__members__)  # aliases, as DEFAULT is, too


def weights_of_file(name: str, path: Path) -> Any:
    """The weights of torchvision that a file is named like, as it is when it was downloaded; None if it is not."""
    return next((one for one in models.get_model_weights(name) if Path(one.url).name == path.name), None)


def torchvision_network(
    name: str, data: ImageShape, weights: Any = None, file: Path | None = None, image_size: int | None = None
) -> tuple[nn.Module, ImageShape]:
    """Build a network of torchvision, and tell which images it takes.

    Args:
        name: such as `resnet18`.
        data: shape of the images of the data, whose size it takes if it knows none itself.
        weights: of torchvision; None for random ones.
        file: that holds them; torchvision looks for it, and downloads it, if not given.
        image_size: side of the images that it shall take; that of its weights, or of the data, if not given.

    Raises:
        ValueError: if the weights cannot be had or read, or the network cannot take images of that size.
    """
    settings: dict[str, Any] = {}
    if name in ("inception_v3", "googlenet"):
        settings = {"aux_logits": False, **({} if weights else {"init_weights": True})}
    sides = (image_size, image_size) if image_size else tuple(weights.transforms().crop_size * 2)[:2] if weights else ()
    height, width = sides or (data.height, data.width)
    if name.startswith("vit_"):
        settings["image_size"] = height
    if name.startswith("maxvit_") and not weights:
        settings["input_size"] = (height, width)
    if file is not None:
        read_file(file)  # torchvision would run code that is in it
    try:
        with _looked_for_at(file):
            network: nn.Module = models.get_model(name, weights=weights, **settings)
    except OSError as error:
        raise ValueError(
            f"weights is {weights.name!r}: {weights.url} cannot be had ({_reason(error)}): bring that file here and "
            "give its path"
        ) from None
    except (RuntimeError, ValueError, AssertionError) as error:
        of = f"weights is {str(file)!r}" if file else f"image_size is {image_size}" if image_size else "image_size"
        raise ValueError(f"{of}: {name} cannot be built for images of {height}x{width} ({_reason(error)})") from None
    return network, ImageShape(_COLOURS, height, width)


def torchvision_preparation(weights: Any, shape: ImageShape, margin: int) -> Preparation:
    """What images need before a network with weights of torchvision, or without any."""
    if weights is None:
        return Preparation(shape, margin)
    preset = weights.transforms()
    return Preparation(shape, margin, preset.mean, preset.std)


def is_torchvision(factory: Callable[..., Any]) -> bool:
    """Whether something that makes a network is torchvision's own function for it."""
    name = getattr(factory, "__name__", "")
    return name in torchvision_names() and models.get_model_builder(name) is factory


@contextmanager
def _looked_for_at(file: Path | None) -> Iterator[None]:
    """Has torchvision find a file where it keeps what it downloaded."""
    if file is None:
        yield
        return
    before = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "checkpoints").mkdir()
        (Path(folder) / "checkpoints" / file.name).symlink_to(file.resolve())
        torch.hub.set_dir(folder)
        try:
            yield
        finally:
            torch.hub.set_dir(before)


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
