"""Features that two domains share, and what is told from them."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from networks import ConvFeatures, MLPFeatures, MLPHead


def layers(network: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in network]


def test_the_default_is_the_network_for_mnist_of_the_dann_paper() -> None:
    network = ConvFeatures((3, 28, 28))
    assert layers(network) == ["Conv2d", "ReLU", "MaxPool2d"] * 2 + ["Flatten"]
    assert network.out_features == 768
    # 5x5 kernels: 3 -> 32 and 32 -> 48 channels, with a bias each
    assert sum(parameter.numel() for parameter in network.parameters()) == 25 * (3 * 32 + 32 * 48) + 32 + 48
    head = MLPHead(768, 10)
    assert layers(head) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert sum(parameter.numel() for parameter in head.parameters()) == 769 * 100 + 101 * 100 + 101 * 10


def test_without_normalisation_signals_are_as_large_at_the_end_as_at_the_start() -> None:
    image = torch.randn(64, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = ConvFeatures((3, 28, 28), hidden=(400, 400, 400))
    sizes = [size.square().mean().sqrt() for layer in network if (size := (image := layer(image))).ndim == 2]
    assert sizes[0] > 1  # with PyTorch's own weights 0.4, and 0.03 at the end
    assert sizes[-1] > 0.5 * sizes[0]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(8, 19),
    st.integers(8, 19),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(0, 2),
    st.booleans(),
    st.lists(st.integers(1, 6), max_size=2),
)
def test_any_network_that_can_be_built_gives_the_features_it_says(
    colours: int, height: int, width: int, channels: list[int], kernel: int, padding: int, norm: bool, hidden: list[int]
) -> None:
    shape = (colours, height, width)
    try:
        network = ConvFeatures(shape, channels, kernel, padding, norm, hidden)
    except ValueError as error:
        assert "too small" in str(error)  # noqa: PT017
        bare = nn.Sequential(*[nn.Sequential(nn.ZeroPad2d(padding), nn.MaxPool2d(kernel, 1), nn.MaxPool2d(2))] * 3)
        with pytest.raises(RuntimeError):
            bare[: len(channels)](torch.zeros(shape))
    else:
        assert network(torch.rand(4, *shape)).shape == (4, network.out_features)


@pytest.mark.parametrize(
    "network", [ConvFeatures((1, 8, 8), (4, 6), 3, 1, True, (5,)), MLPFeatures((2,), (4, 5), batch_norm=True)]
)
def test_normalisation_comes_before_the_activation_and_brings_the_bias(network: nn.Sequential) -> None:
    assert network.out_features == 5
    for before, after in zip(network, list(network)[1:], strict=False):
        if isinstance(before, nn.Linear | nn.Conv2d):
            assert before.bias is None
            assert isinstance(after, nn.BatchNorm1d | nn.BatchNorm2d)
        if isinstance(before, nn.BatchNorm1d | nn.BatchNorm2d):
            assert isinstance(after, nn.ReLU)


def test_points_and_images_go_through_fully_connected_layers() -> None:
    assert layers(MLPFeatures((2,), (7, 3), "tanh")) == ["Flatten", "Linear", "Tanh", "Linear", "Tanh"]
    assert MLPFeatures((2,), (7, 3))(torch.randn(5, 2)).shape == (5, 3)
    assert MLPFeatures((1, 4, 4), (7,))(torch.randn(5, 1, 4, 4)).shape == (5, 7)


def test_a_head_without_hidden_layers_is_linear() -> None:
    assert layers(MLPHead(6, 1, ())) == ["Linear"]
    assert MLPHead(6, 1, ())(torch.randn(5, 6)).shape == (5, 1)


def test_dropout_follows_each_hidden_layer() -> None:
    head = MLPHead(6, 3, (5, 4), dropout=0.5, batch_norm=True)
    assert layers(head) == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 2 + ["Linear"]
    x = torch.randn(8, 6)
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


@pytest.mark.parametrize(
    ("make", "arguments", "start"),
    [
        (ConvFeatures, {"data_shape": (2,)}, r"data_shape is \(2,\):"),
        (ConvFeatures, {"data_shape": (1, 8, 8)}, r"data_shape is \(1, 8, 8\): too small"),
        (ConvFeatures, {"data_shape": (1, 28, 28), "channels": []}, r"channels is \[\]:"),
        (ConvFeatures, {"data_shape": (1, 28, 28), "channels": [4, 0]}, r"channels is \[4, 0\]:"),
        (ConvFeatures, {"data_shape": (1, 28, 28), "kernel": 0}, "kernel is 0:"),
        (ConvFeatures, {"data_shape": (1, 28, 28), "padding": -1}, "padding is -1:"),
        (ConvFeatures, {"data_shape": (1, 28, 28), "hidden": [0]}, r"hidden is \[0\]:"),
        (MLPFeatures, {"data_shape": (2,), "hidden": []}, r"hidden is \[\]:"),
        (MLPFeatures, {"data_shape": (2,), "hidden": [-3]}, r"hidden is \[-3\]:"),
        (MLPFeatures, {"data_shape": (2,), "activation": "cosine"}, "activation is 'cosine':"),
        (MLPHead, {"in_features": 2, "out_features": 1, "hidden": [0]}, r"hidden is \[0\]:"),
        (MLPHead, {"in_features": 2, "out_features": 1, "dropout": 1.0}, r"dropout is 1\.0:"),
        (MLPHead, {"in_features": 2, "out_features": 1, "hidden": [], "dropout": 0.5}, r"dropout is 0\.5:"),
        (MLPHead, {"in_features": 2, "out_features": 1, "hidden": [], "batch_norm": True}, "batch_norm is True:"),
    ],
)
def test_an_impossible_network_is_one_clear_line(make: Any, arguments: dict[str, Any], start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        make(**arguments)
    assert "\n" not in str(error.value)
