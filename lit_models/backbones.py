"""The backbone of a model, from what a user calls its network and its weights."""

import difflib
from collections.abc import Callable
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from lit_models.pretrained_runs import RUNS, checkpoint_of_run, network_of_checkpoint
from networks import Backbone, ImageShape, Preparation, Pretrained
from networks.pretrained import MNIST_CLASSIFIER, load_pretrained, read_file, shipped_classifier, state_in
from networks.torchvision_networks import (
    check_torchvision_name,
    is_torchvision,
    torchvision_network,
    torchvision_preparation,
    torchvision_weights,
    weights_of_file,
)

BackboneFactory = Callable[[ImageShape, int], nn.Module]


def make_backbone(
    data: ImageShape,
    num_classes: int,
    backbone: BackboneFactory | str | None,
    weights: str | None,
    image_size: int | None,
    margin: int,
) -> Backbone:
    """Build a network, give it its weights, and take its classification layer off.

    Args:
        data: shape of the images of the data.
        num_classes: of the data; a network of one's own is made with so many.
        backbone: see `TransferClassifier`.
        weights: see `TransferClassifier`.
        image_size: see `TransferClassifier`.
        margin: see `TransferClassifier`.

    Raises:
        ValueError: if the network or the weights are not to be had, or do not belong together.

    Warns:
        UserWarning: listing the names, if only some of the weights and of the network's layers belong together.
    """
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size is {image_size}: the network takes images of at least one pixel")
    if callable(backbone) and is_torchvision(backbone):
        backbone = backbone.__name__
    if isinstance(backbone, str):
        made = _of_torchvision(data, backbone, weights, image_size, margin)
    else:
        made = _of_class(data, num_classes, backbone, weights, image_size, margin)
    made.preparation(torch.zeros(1, *data))  # refuses channels that cannot become its own
    return made


def find_weights(weights: str) -> Pretrained:
    """Read weights by the name of those that are shipped, a file, the folder of a run, or the id of a run.

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
            f"weights is {weights!r}: there is no such file, and no run of that id in {RUNS}/*/{meant or ','} "
            f"torchvision's own weights go with the name of a network of torchvision as backbone"
        )
    content = read_file(path)
    return network_of_checkpoint(path, content, state_in(content, path))


def _of_class(
    data: ImageShape,
    num_classes: int,
    factory: BackboneFactory | None,
    weights: str | None,
    image_size: int | None,
    margin: int,
) -> Backbone:
    if factory is None:
        given = find_weights(weights or MNIST_CLASSIFIER)
        if given.network is None:
            raise ValueError(f"weights is {weights!r}: it does not tell which network it is of, name the backbone")
    elif weights is None:
        given = Pretrained("none", {})
    else:
        given = find_weights(weights)
    shape = given.shape or data
    if image_size is not None:
        if given.shape is not None and (image_size, image_size) != shape[1:]:
            raise ValueError(
                f"image_size is {image_size}: the network of weights {given.description!r} takes "
                f"{shape.height}x{shape.width}, leave it out"
            )
        shape = ImageShape(shape.channels, image_size, image_size)
    if factory is not None:
        network, headless = factory(shape, num_classes), False
    else:
        assert given.network is not None
        network, headless = given.network(), given.headless
    made = Backbone(network, Preparation(shape, margin), type(network).__name__, headless)
    if given.state:
        _take_over(made, given)
    return made


def _of_torchvision(data: ImageShape, name: str, weights: str | None, image_size: int | None, margin: int) -> Backbone:
    check_torchvision_name(name)
    known = torchvision_weights(name)
    own = known.get(weights) if weights else None
    file = Path(weights) if weights and own is None and Path(weights).is_file() else None
    if file is not None:
        own = weights_of_file(name, file)
    given = None
    if weights and own is None:
        if file is None and checkpoint_of_run(weights) is None and weights != MNIST_CLASSIFIER:
            raise ValueError(
                f"weights is {weights!r}: torchvision has {', '.join(known)} for {name}, and there is no such file and "
                f"no run of that id in {RUNS}/*/"
            )
        given = find_weights(weights)
    taken = given.shape or data if given else data
    network, shape = torchvision_network(name, taken, own, file if own else None, image_size)
    made = Backbone(network, torchvision_preparation(own, shape, margin), name)
    if given:
        _take_over(made, given)
    return made


def _take_over(backbone: Backbone, given: Pretrained) -> None:
    report = load_pretrained(backbone.network, backbone.name, given, leave_out=backbone.head_name)
    if report.missing or report.unexpected:
        rank_zero_warn(f"weights {given.description!r} in {backbone.name}: {report}")
