"""A network without its classification layer, whatever that is called, and what images need before it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.transforms import v2

from networks import Backbone, ConvClassifier, ImageShape, Preparation

# how a network of torchvision is made, the name of the layer that gives its classes, and the features before it
FAMILIES: dict[str, tuple[Callable[[], nn.Module], str, int]] = {
    "resnet18": (models.resnet18, "fc", 512),
    "efficientnet_b0": (models.efficientnet_b0, "classifier.1", 1280),
    "densenet121": (models.densenet121, "classifier", 1024),
    "squeezenet1_1": (models.squeezenet1_1, "classifier.1", 512),
    "mobilenet_v3_small": (models.mobilenet_v3_small, "classifier.3", 1024),
    "regnet_y_400mf": (models.regnet_y_400mf, "fc", 440),
    "shufflenet_v2_x0_5": (models.shufflenet_v2_x0_5, "fc", 1024),
    # the large ones, smaller
    "vit": (partial(models.VisionTransformer, 64, 16, 2, 2, 16, 16), "heads.head", 16),
    "swin": (partial(models.SwinTransformer, [4, 4], 12, [1, 1], [2, 2], [4, 4]), "head", 24),
    "convnext": (partial(models.ConvNeXt, [CNBlockConfig(12, 24, 1), CNBlockConfig(24, None, 1)]), "classifier.2", 24),
}


def small(*layers: nn.Module, size: int = 8) -> Backbone:
    return Backbone(nn.Sequential(*layers), Preparation(ImageShape(1, size, size)), "small")


@pytest.fixture
def convolutional() -> Backbone:
    torch.manual_seed(0)
    network = ConvClassifier(ImageShape(1, 8, 8), 10, channels=(4, 6), features=5, dropout=0.5)
    return Backbone(network, Preparation(ImageShape(1, 8, 8)), "ConvClassifier")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_classification_layer_is_found_whatever_its_name(name: str) -> None:
    make, head, width = FAMILIES[name]
    backbone = Backbone(make(), Preparation(ImageShape(3, 64, 64)), name).eval()
    assert (backbone.head_name, backbone.out_features) == (head, width)
    image = torch.rand(2, 3, 64, 64)
    assert backbone(image).shape == (2, width)
    assert backbone.has_maps == (name != "vit")  # which works on a sequence of patches
    if backbone.has_maps:
        backbone.train_blocks(0)
        maps, feature = backbone.feature_maps(image)
        assert maps.shape[2] == maps.shape[3] > 1
        (gradient,) = torch.autograd.grad((feature * torch.rand_like(feature)).sum(), maps)
        assert gradient.abs().sum() > 0
    else:
        with pytest.raises(ValueError, match=r"^vit has no maps with a height and a width$"):
            backbone.feature_maps(image)


def test_a_large_hidden_layer_is_not_the_classification_layer() -> None:
    with torch.device("meta"):
        network = models.vgg11_bn()
    network.to_empty(device="cpu")
    for value in network.state_dict().values():
        value.fill_(1)
    backbone = Backbone(network, Preparation(ImageShape(3, 32, 32)), "vgg11_bn")
    assert (backbone.head_name, backbone.out_features) == ("classifier.6", 4096)


def test_features_are_what_the_classes_were_told_from(convolutional: Backbone) -> None:
    torch.manual_seed(0)
    network = ConvClassifier(ImageShape(1, 8, 8), 10, channels=(4, 6), features=5).eval()
    image = torch.rand(3, 1, 8, 8)
    assert torch.equal(convolutional.eval()(image), network.features(image))


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.LayerNorm(5)),
        (nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (nn.Flatten(), nn.Linear(64, 5), nn.Softmax(1), nn.Unflatten(1, (5, 1)), nn.Upsample(2)),
        (nn.Flatten(), nn.Flatten()),
        (nn.Flatten(), nn.GRU(64, 5)),
    ],
    ids=["normalised", "wide kernel", "other outputs", "no layers", "tuple"],
)
def test_a_network_without_a_recognisable_head_is_one_clear_line(layers: tuple[nn.Module, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"^small has no recognisable classification layer: .* end it in an nn.Linear"
    ) as error:
        small(*layers)
    assert "\n" not in str(error.value)


def test_images_that_are_too_small_are_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"^small cannot take images of 1x8x8 \(.*\): set image_size$"):
        small(nn.Conv2d(1, 2, 9), nn.Flatten(), nn.Linear(2, 2))


def test_a_head_of_convolution_and_one_that_is_all() -> None:
    backbone = small(nn.Conv2d(1, 6, 3), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert (backbone.head_name, backbone.out_features) == ("1", 6)
    assert small(nn.Flatten(), nn.Linear(64, 4)).out_features == 64


def test_dropout_goes_where_it_leads_to_the_head_alone() -> None:
    between = nn.Dropout(), nn.Dropout()
    backbone = small(
        nn.Flatten(), nn.Linear(64, 5), between[0], nn.Linear(5, 5), nn.ReLU(), between[1], nn.Linear(5, 4)
    )
    assert [module for module in backbone.modules() if isinstance(module, nn.Dropout)] == [between[0]]
    shared = nn.Dropout()
    backbone = small(nn.Flatten(), nn.Linear(64, 5), shared, nn.Linear(5, 5), shared, nn.Linear(5, 4))
    assert shared in backbone.modules()


def test_a_network_of_features_keeps_its_last_layer() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    backbone = Backbone(network, Preparation(ImageShape(1, 8, 8)), "features", headless=True)
    assert (backbone.head_name, backbone.out_features) == (None, 5)


def test_looking_for_the_head_leaves_a_network_as_it_was() -> None:
    network = ConvClassifier(ImageShape(1, 8, 8), 10).train()
    network.body[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.body]
    state = torch.get_rng_state()
    backbone = Backbone(network, Preparation(ImageShape(1, 8, 8)), "ConvClassifier")
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network.body] == modes
    assert all(torch.equal(before[name], value) for name, value in backbone.network.state_dict().items())
    assert not any(module._forward_hooks for module in backbone.modules())


def states(backbone: Backbone) -> list[tuple[bool, bool]]:
    """Of each block: whether its parameters train, and whether its modules are in training mode."""
    found = []
    for block in backbone.blocks:
        needs = {parameter.requires_grad for parameter in block.parameters}
        modes = {inner.training for module in block.modules for inner in module.modules()}
        assert len(needs) == len(modes) == 1
        found.append((needs.pop(), modes.pop()))
    return found


@pytest.mark.parametrize("n", range(4))
def test_the_highest_blocks_train_and_the_others_stay_in_evaluation_mode(n: int, convolutional: Backbone) -> None:
    convolutional.train_blocks(n)
    expected = [(place >= 3 - n, place >= 3 - n) for place in range(3)]
    assert states(convolutional) == expected
    convolutional.eval()
    assert states(convolutional) == [(train, False) for train, _ in expected]
    convolutional.train()
    assert states(convolutional) == expected
    nn.Sequential(convolutional).train()
    assert states(convolutional) == expected


def test_a_frozen_network_is_as_a_whole_in_evaluation_mode(convolutional: Backbone) -> None:
    convolutional.network.get_submodule("body").insert(8, nn.Dropout())  # type: ignore[operator]
    convolutional.train_blocks(0)
    assert not any(module.training for module in convolutional.train().modules())
    image = torch.rand(9, 1, 8, 8)
    before = {name: value.clone() for name, value in convolutional.state_dict().items()}
    assert torch.equal(convolutional(image), convolutional(image))
    assert all(torch.equal(before[name], value) for name, value in convolutional.state_dict().items())
    convolutional.train_blocks(3)
    assert all(module.training for module in convolutional.modules())
    assert not torch.equal(convolutional(image), convolutional(image))


def test_frozen_parameters_have_no_gradient_left(convolutional: Backbone) -> None:
    convolutional(torch.rand(3, 1, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in convolutional.parameters())
    convolutional.train_blocks(1)
    assert [parameter.grad is None for parameter in convolutional.blocks[0].parameters] == [True] * 3
    assert [parameter.grad is None for parameter in convolutional.blocks[2].parameters] == [False] * 2


@pytest.mark.parametrize("n", [-1, 4])
def test_so_many_blocks_there_are_not(n: int, convolutional: Backbone) -> None:
    with pytest.raises(ValueError, match=rf"^blocks is {n}: ConvClassifier has 3, choose one in \[0, 3\]$"):
        convolutional.train_blocks(n)


def test_maps_and_the_features_that_come_from_them(convolutional: Backbone) -> None:
    image = torch.rand(3, 1, 8, 8)
    convolutional.eval().train_blocks(0)
    maps, feature = convolutional.feature_maps(image)
    assert torch.equal(feature, convolutional(image))
    assert maps.shape == (3, 6, 2, 2)
    body: Any = convolutional.network.get_submodule("body")
    torch.testing.assert_close(maps, body[:8](image))
    (gradient,) = torch.autograd.grad(feature[:, 0].sum(), maps)
    linear = body[9]
    active = (feature[:, 0] > 0).float().unsqueeze(1)
    torch.testing.assert_close(gradient.flatten(1), active * linear.weight[0])
    assert all(parameter.grad is None for parameter in convolutional.parameters())
    assert not any(module._forward_hooks for module in convolutional.modules())


def test_preparation_is_that_of_torchvision_but_for_the_interpolation() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    image = torch.rand(2, 3, 20, 30)
    found = Preparation(ImageShape(3, 48, 40), mean=mean, std=std)(image)
    resized = v2.functional.resize(image, [48, 40], v2.InterpolationMode.BICUBIC, antialias=True).clamp(0, 1)
    torch.testing.assert_close(found, v2.functional.normalize(resized, mean, std))


def test_grey_images_are_repeated_and_colour_is_reduced_to_luma() -> None:
    grey, colour = torch.rand(2, 1, 8, 8), torch.rand(2, 3, 8, 8)
    assert torch.equal(Preparation(ImageShape(3, 8, 8))(grey), grey.expand(-1, 3, -1, -1))
    luma = v2.functional.rgb_to_grayscale(colour)
    torch.testing.assert_close(Preparation(ImageShape(1, 8, 8))(colour), luma, rtol=1e-3, atol=1e-3)
    assert torch.equal(Preparation(ImageShape(3, 8, 8))(colour), colour)


@pytest.mark.parametrize(("channels", "given", "takes"), [(1, 2, "one or three"), (3, 4, "one or 3")])
def test_other_channels_are_refused(channels: int, given: int, takes: str) -> None:
    with pytest.raises(ValueError, match=rf"was given \(2, {given}, 8, 8\): .* with C {takes}$"):
        Preparation(ImageShape(channels, 8, 8))(torch.rand(2, given, 8, 8))


def test_a_margin_is_black_before_it_is_normalised() -> None:
    image = torch.rand(2, 1, 4, 4)
    found = Preparation(ImageShape(1, 8, 8), 2, [0.5], [0.25])(image)
    assert torch.equal(found[:, :, 2:6, 2:6], (image - 0.5) / 0.25)
    assert (found[:, :, :2] == -2).all()


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({"margin": 4}, "margin is 4: choose one in [0, 4)"),
        ({"mean": [0.5, 0.5]}, "mean is [0.5, 0.5]: give one value for each of the 1 channels"),
        ({"std": [0.0]}, "std is [0.0]: a deviation is more than 0"),
    ],
)
def test_an_impossible_preparation_is_one_clear_line(settings: dict[str, Any], start: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(start)}"):
        Preparation(ImageShape(1, 8, 8), **settings)
