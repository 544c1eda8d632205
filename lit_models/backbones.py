"""The backbone of a model, from what a user calls its network and its weights."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from lit_models.pretrained_runs import RUNS, checkpoint_of_run, network_of_checkpoint
from networks import Backbone, ImageShape, Preparation, Pretrained
from networks.pretrained import MNIST_CLASSIFIER, load_pretrained, read_file, shipped_classifier, state_in
from networks.torchvision_networks import (
    TorchvisionName,
    check_torchvision_name,
    is_torchvision,
    torchvision_network,
    torchvision_weights,
    weights_of_file,
)

BackboneFactory = Callable[[ImageShape, int], nn.Module]

_OTHERS = "names of torchvision's weights go with the name of a network of torchvision as backbone"


class BackboneSource(NamedTuple):
    """What a user says of a backbone; see `TransferClassifier` for each."""

    backbone: TorchvisionName | BackboneFactory | str | None
    weights: str | None
    image_size: int | None
    margin: int
    mean: Sequence[float] | None
    std: Sequence[float] | None

    def build(self, data: ImageShape, num_classes: int) -> Backbone:
        """Build the network, give it its weights, and take its classification layer off.

        Args:
            data: shape of the images of the data.
            num_classes: of the data; a network of one's own is made with so many.

        Raises:
            ValueError: if the network or the weights are not to be had, or do not belong together.

        Warns:
            UserWarning: listing the names, if only some of the weights and of the network's layers belong together.
        """
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size is {self.image_size}: the network takes images of at least one pixel")
        if isinstance(self.backbone, str):
            made = self._of_torchvision(data, self.backbone)
        elif self.backbone is not None and is_torchvision(self.backbone):
            made = self._of_torchvision(data, self.backbone.__name__)
        else:
            made = self._of_class(data, num_classes, self.backbone)
        made.preparation(torch.zeros(1, *data))  # refuses channels that cannot become its own
        return made

    def _of_class(self, data: ImageShape, num_classes: int, factory: BackboneFactory | None) -> Backbone:
        given = None
        if self.weights is not None or factory is None:
            given = find_weights(self.weights or MNIST_CLASSIFIER)
        shape = self._shape(data, given)
        headless = False
        if factory is not None:
            network = _made(factory, shape, num_classes)
        elif given is not None and given.network is not None:
            network, headless = given.network(), given.headless
        else:
            raise ValueError(f"weights is {self.weights!r}: it does not tell which network it is of, name the backbone")
        made = Backbone(network, self._preparation(shape), type(network).__name__, headless)
        if given:
            _take_over(made, given)
        return made

    def _of_torchvision(self, data: ImageShape, name: str) -> Backbone:
        check_torchvision_name(name)
        if self.weights is None:
            network, shape = torchvision_network(name, data, image_size=self.image_size)
            return Backbone(network, self._preparation(shape), name)
        known = torchvision_weights(name)
        file = Path(self.weights)
        of_file = weights_of_file(name, file) if file.is_file() else None
        if own := known.get(self.weights, of_file):
            network, shape = torchvision_network(name, data, own, file if of_file else None, self.image_size)
            preset = own.transforms()
            return Backbone(network, self._preparation(shape, preset.mean, preset.std), name)
        given = find_weights(self.weights, f"torchvision has {', '.join(known)} for {name}")
        network, shape = torchvision_network(name, given.shape or data, image_size=self.image_size)
        made = Backbone(network, self._preparation(shape), name)
        _take_over(made, given)
        return made

    def _shape(self, data: ImageShape, given: Pretrained | None) -> ImageShape:
        """Of the images that a network of one's own takes."""
        shape = (given and given.shape) or data
        side = self.image_size or shape.height
        if self.image_size and given and given.shape and (side, side) != (shape.height, shape.width):
            raise ValueError(
                f"image_size is {side}: the network of weights {given.description!r} takes "
                f"{shape.height}x{shape.width}, leave it out"
            )
        return ImageShape(shape.channels, side, self.image_size or shape.width)

    def _preparation(
        self, shape: ImageShape, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> Preparation:
        return Preparation(shape, self.margin, self.mean or mean, self.std or std)


def find_weights(weights: str, others: str = _OTHERS) -> Pretrained:
    """Read weights by the name of those that are shipped, a file, the folder of a run, or the id of a run.

    Args:
        weights: the name.
        others: which other names there are, for the error.

    Raises:
        ValueError: if there are none of that name, or they cannot be read.
    """
    if weights == MNIST_CLASSIFIER:
        return shipped_classifier()
    path = Path(weights) if Path(weights).is_file() else checkpoint_of_run(weights)
    if path is None:
        runs = [run.name for run in RUNS.glob("*/*") if run.is_dir()]
        near = difflib.get_close_matches(weights, [MNIST_CLASSIFIER, *runs], n=1)
        meant = f", did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"weights is {weights!r}: there is no such file, and no run of that id in {RUNS}/*/{meant}; {others}"
        )
    content = read_file(path)
    return network_of_checkpoint(path, content, state_in(content, path))


def _made(factory: BackboneFactory, shape: ImageShape, num_classes: int) -> nn.Module:
    try:
        return factory(shape, num_classes)
    except TypeError as error:
        raise ValueError(
            f"backbone is not made of an image shape and a number of classes ({error}): name a classifier of "
            "torchvision, or a class that takes the two"
        ) from None


def _take_over(backbone: Backbone, given: Pretrained) -> None:
    report = load_pretrained(backbone.network, backbone.name, given, leave_out=backbone.head_name)
    if report.missing or report.unexpected:
        rank_zero_warn(f"weights {given.description!r} in {backbone.name}: {report}")
