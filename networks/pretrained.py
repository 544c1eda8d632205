"""Weights that a network begins with: reading them, and finding the names of the network in theirs."""

import hashlib
import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from networks.classifiers import ConvClassifier
from networks.shapes import ImageShape

MNIST_CLASSIFIER = "mnist_classifier"
_SHIPPED = Path(__file__).parent / "weights" / f"{MNIST_CLASSIFIER}.safetensors"

_PREFIXES = ("model", "module", "network", "backbone", "encoder", "extractor")
# under which files of weights have them, the likelier first
_PLACES = ("state_dict", "model", "model_state_dict", "network", "net", "weights")
# what torch.load raises for a file that is no checkpoint, was cut short or changed, or holds code
UNREADABLE = (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError)
_NAMED, _LISTED = 3, 40  # weights that an error and a report name


class Pretrained(NamedTuple):
    """Weights, and what is known of the network that they belong to.

    Attributes:
        description: what the user called them.
        state: name to tensor.
        shape: of the images that the network takes, where known.
        mean: of each channel, that images were normalised by.
        std: of each channel, likewise.
        network: makes the network that they belong to, with any weights, where known.
        headless: whether that network gives features, and no classes.
    """

    description: str
    state: Mapping[str, Tensor]
    shape: ImageShape | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    network: Callable[[], nn.Module] | None = None
    headless: bool = False


class Report(NamedTuple):
    """What became of weights that a network was given.

    Attributes:
        prefix: that their names have before those of the network.
        taken: names in the network.
        missing: names in the network that have no weights; they stay as they were.
        unexpected: names in the weights that the network has not.
        misshapen: names in the network whose weights have another shape, and a line that tells both.
    """

    prefix: str
    taken: list[str]
    missing: list[str]
    unexpected: list[str]
    misshapen: dict[str, str]

    def __str__(self) -> str:
        """The names, each kind in a line."""
        under = f", under {self.prefix!r}" if self.prefix else ""
        lines = [f"{len(self.taken)} tensors taken over{under}"]
        for title, names in (("not there, left as they were", self.missing), ("there, not used", self.unexpected)):
            if names:
                lines.append(f"{title} ({len(names)}): {_few(names, _LISTED)}")
        return "\n  ".join(lines)


def shipped_classifier() -> Pretrained:
    """The classifier of MNIST's digits that comes with this package; the file beside it tells its making.

    Raises:
        ValueError: if the file is not the one that it should be.
    """
    weights = _SHIPPED.read_bytes()
    made = json.loads(_SHIPPED.with_suffix(".json").read_text())
    digest = hashlib.sha256(weights).hexdigest()
    if digest != made["sha256"]:
        raise ValueError(f"{_SHIPPED} has sha256 {digest}, and not {made['sha256']}: it was altered, install it again")
    shape = ImageShape(1, 28, 28)
    return Pretrained(
        f"MNIST classifier {digest[:8]}",
        safetensors.torch.load(weights),
        shape,
        network=lambda: ConvClassifier(shape, 10, **made["network"]),
    )


def read_file(path: Path) -> Any:
    """What a file of weights holds; no code in it is ever run.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (*UNREADABLE, SafetensorError):
        raise ValueError(
            f"weights is {str(path)!r}: it cannot be read, it is damaged, holds no weights, or more than plain values"
        ) from None


def state_in(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the weights in what a file holds: by themselves, or in one of its parts as in a checkpoint.

    Raises:
        ValueError: if there are none.
    """
    parts = [content, *(content.get(place) for place in _PLACES)] if isinstance(content, Mapping) else []
    for part in parts:
        if isinstance(part, Mapping) and part:
            tensors = {str(name): value for name, value in part.items() if isinstance(value, Tensor)}
            if len(tensors) == len(part):
                return tensors
    held = f", only {', '.join(sorted(map(str, content))[:10])}" if isinstance(content, Mapping) else ""
    raise ValueError(
        f"weights is {str(path)!r}: it has no weights{held}; keep them by name, or under {', '.join(_PLACES[:3])}"
    )


def load_pretrained(network: nn.Module, name: str, weights: Pretrained, leave_out: str | None = None) -> Report:
    """Give a network the weights of a file, whatever stands before their names.

    Names may begin with `model.`, `module.`, `network.`, `backbone.` and the like, in any number. Layers that the
    weights have and the network has not, as one that projected features, are left out, and those of the network that
    the weights do not know stay as they were; the report lists both. If one layer is different inside, the weights are
    of another architecture.

    Args:
        network: which is changed.
        name: of the network, for errors.
        weights: to take over.
        leave_out: name of a layer of the network that keeps its own.

    Raises:
        ValueError: if nothing matches, or the weights are of another architecture.
    """
    own = {key: value for key, value in network.state_dict().items() if not _is_under(key, leave_out)}
    report = _match(own, weights.state, leave_out)
    if wrong := _wrong_layers(report):
        raise ValueError(f"weights is {weights.description!r}: they are not of this {name}: {wrong}")
    if not report.taken:
        there = _few(weights.state)
        raise ValueError(
            f"weights is {weights.description!r}: none of them belongs to {name}, which has {_few(own)}, and they are "
            f"{there}: choose the backbone that they were trained in"
        )
    network.load_state_dict({key: weights.state[report.prefix + key] for key in report.taken}, strict=False)
    return report


def _match(own: Mapping[str, Tensor], state: Mapping[str, Tensor], leave_out: str | None) -> Report:
    prefix = max(_prefixes(state), key=lambda prefix: sum(prefix + key in state for key in own))
    found = [key for key in own if prefix + key in state]
    misshapen = {
        key: f"{key} is {tuple(state[prefix + key].shape)} instead of {tuple(own[key].shape)}"
        for key in found
        if own[key].shape != state[prefix + key].shape
    }
    there = [key.removeprefix(prefix) if key.startswith(prefix) else key for key in state]
    return Report(
        prefix,
        [key for key in found if key not in misshapen],
        # files older than PyTorch 0.4.1 do not count batches
        [key for key in own if prefix + key not in state and not key.endswith("num_batches_tracked")],
        [key for key in there if key not in own and not _is_under(key, leave_out)],
        misshapen,
    )


def _prefixes(names: Iterable[str]) -> list[str]:
    """Known prefixes that names begin with, and the ones within these, the shortest first."""
    found = {""}
    for name in names:
        parts = name.split(".")
        for depth, part in enumerate(parts[:-1], 1):
            if part not in _PREFIXES:
                break
            found.add(".".join(parts[:depth]) + ".")
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _wrong_layers(report: Report) -> str:
    """Say which layers are there and different inside; empty if none is."""
    known = {_layer(key) for key in (*report.taken, *report.misshapen)}
    lacking = [key for key in report.missing if _layer(key) in known]
    besides = [key for key in report.unexpected if _layer(key) in known]
    parts = [f"they lack {_few(lacking)}" if lacking else "", f"they have besides {_few(besides)}" if besides else ""]
    return "; ".join([part for part in parts if part] + list(report.misshapen.values())[:_NAMED])


def _layer(key: str) -> str:
    return key.partition(".")[0]


def _is_under(key: str, name: str | None) -> bool:
    return name is not None and key.startswith(f"{name}.")


def _few(names: Iterable[str], most: int = _NAMED) -> str:
    found = sorted(names)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
