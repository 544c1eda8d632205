"""Every network is divided into blocks that can be frozen, and no parameter is lost or twice in them."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from networks import Block, ConvClassifier, ImageShape, blocks_of

RESIDUAL = ["conv1", *(f"layer{stage}.{place}" for stage in range(1, 5) for place in range(2))]
# of a network without its classification layer: how many blocks, the lowest and the highest
FAMILIES = {
    "resnet18": ("fc", 9, "conv1", "layer4.1"),
    "vgg11_bn": ("classifier.6", 10, "features.0", "classifier.3"),
    "efficientnet_b0": ("classifier.1", 18, "features.0", "features.8"),
    "vit_b_16": ("heads.head", 13, "conv_proj", "encoder.layers.encoder_layer_11"),
    "densenet121": ("classifier", 8, "features.conv0", "features.denseblock4"),
    "convnext_tiny": ("classifier.2", 22, "features.0", "features.7.2"),
    "swin_t": ("head", 16, "features.0.0", "features.7.1"),
    "squeezenet1_1": ("classifier.1", 9, "features.0", "features.12"),
    "mobilenet_v3_small": ("classifier.3", 14, "features.0", "classifier.0"),
}


def without_weights(name: str) -> nn.Module:
    """A network of torchvision that takes no memory, without its classification layer."""
    with torch.device("meta"):
        network: nn.Module = models.get_model(name)
    parent, _, own = FAMILIES[name][0].rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())
    return network


def check_division(network: nn.Module, blocks: list[Block]) -> None:
    held = [id(parameter) for block in blocks for parameter in block.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in network.parameters()}
    modules = [id(inner) for block in blocks for module in block.modules for inner in module.modules()]
    assert len(modules) == len(set(modules))


@pytest.mark.parametrize("name", FAMILIES)
def test_families_of_torchvision(name: str) -> None:
    network = without_weights(name)
    blocks = blocks_of(network)
    check_division(network, blocks)
    assert (len(blocks), blocks[0].name, blocks[-1].name) == FAMILIES[name][1:]


def test_a_residual_network_is_a_stem_and_its_residual_blocks() -> None:
    network = without_weights("resnet18")
    blocks = blocks_of(network)
    assert [block.name for block in blocks] == RESIDUAL
    stem = (network.conv1, network.bn1, network.relu, network.maxpool)
    assert blocks[0].modules == list(stem)
    assert blocks[-1].modules == [network.get_submodule("layer4.1"), network.avgpool, network.fc]


def test_parameters_of_the_whole_belong_to_the_first_block() -> None:
    network = without_weights("vit_b_16")
    first, *_, last = blocks_of(network)
    assert {id(network.class_token), id(network.encoder.pos_embedding)} <= {id(one) for one in first.parameters}  # type: ignore[union-attr]
    assert network.encoder.ln in last.modules  # type: ignore[union-attr, operator]


def test_a_small_network_of_ones_own() -> None:
    network = ConvClassifier(ImageShape(1, 8, 8), 10, channels=(4, 8), features=6)
    blocks = blocks_of(network)
    check_division(network, blocks)
    assert [block.name for block in blocks] == ["body.0", "body.4", "body.9", "head"]
    assert [type(module).__name__ for module in blocks[0].modules] == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner


def test_wrappers_do_not_hide_what_they_hold() -> None:
    inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    assert [block.name for block in blocks_of(Wrapper(Wrapper(inner)))] == ["inner.inner.0", "inner.inner.2"]


def test_what_comes_before_all_parameters_belongs_to_the_first_block() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 4), nn.Dropout())
    (block,) = blocks_of(network)
    assert block.modules == list(network)


def test_a_normalisation_of_the_image_is_a_block_where_nothing_is_before_it() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    assert [len(block.modules) for block in blocks_of(network)] == [1, 2]


def test_equal_parameters_are_told_apart_and_shared_ones_counted_once() -> None:
    equal: list[Any] = [nn.Linear(3, 3) for _ in range(2)]
    equal[1].load_state_dict(equal[0].state_dict())
    network = nn.Sequential(*equal, equal[0])
    blocks = blocks_of(network)
    check_division(network, blocks)
    assert [[id(one) for one in block.parameters] for block in blocks] == [
        [id(one) for one in layer.parameters()] for layer in equal
    ]


def test_a_layer_alone_is_one_block_and_nothing_is_none() -> None:
    layer = nn.Linear(2, 3)
    (block,) = blocks_of(layer)
    assert [id(one) for one in block.parameters] == [id(one) for one in layer.parameters()]
    assert block.modules == [layer]
    assert blocks_of(nn.Identity()) == []
