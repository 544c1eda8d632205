"""The classifiers of torchvision by their names, with the weights that torchvision has for them or without."""

import difflib
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torchvision import models

from networks.pretrained import read_file
from networks.shapes import ImageShape

if TYPE_CHECKING:
    TorchvisionName = str
else:  # one of the names, so that the command line does not take it for the path of a class
    TorchvisionName = Literal[tuple(models.list_models(module=models))]

_COLOURS = 3
_AUXILIARY = {"googlenet": ("aux1", "aux2"), "inception_v3": ("AuxLogits",)}  # classifiers half way


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
        longer = [known for known in torchvision_names() if name and known.startswith(name)]
        near = (longer or difflib.get_close_matches(name, torchvision_names(), cutoff=0.4))[:3]
        meant = f", did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"backbone is {name!r}: torchvision has no such classifier{meant}; give the class_path of one of your own"
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
    side = image_size or (weights.transforms().crop_size[0] if weights else None)
    height, width = (side, side) if side else (data.height, data.width)
    settings: dict[str, Any] = {}
    if name in _AUXILIARY and not weights:
        settings |= {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_"):
        settings["image_size"] = height
    if name.startswith("maxvit_") and not weights:
        settings["input_size"] = (height, width)
    if file is not None:
        read_file(file)  # torchvision would run code that is in it
    try:
        with _looked_for_at(file):
            network: Any = models.get_model(name, weights=weights, **settings)
    except OSError as error:
        raise ValueError(
            f"weights is {weights.name!r}: {weights.url} cannot be had ({_reason(error)}): bring that file here and "
            "give its path"
        ) from None
    except (RuntimeError, ValueError, AssertionError, pickle.UnpicklingError) as error:
        what = f"weights is {str(file or weights.name)!r}" if weights else f"backbone is {name!r}"
        raise ValueError(
            f"{what}: {name} cannot be built for images of {height}x{width} ({_reason(error)}): set another image_size "
            "or other weights"
        ) from None
    for part in _AUXILIARY.get(name, ()):
        network.aux_logits = False
        setattr(network, part, None)
    return network, ImageShape(_COLOURS, height, width)


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
