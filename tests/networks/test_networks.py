from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from networks import ConvDecoder, ConvEncoder, ImageShape, MLPDecoder, MLPEncoder, activation_class
from networks.activations import _CLASSES

quick = settings(max_examples=25, deadline=None)
side = st.integers(5, 19)  # two halvings of five leave two
widths = st.lists(st.integers(1, 7), max_size=3)


@quick
@given(st.integers(1, 3), side, side, st.integers(1, 9), widths, st.integers(1, 4))
def test_mlp_shapes(channels: int, height: int, width: int, code: int, hidden: list[int], batch: int) -> None:
    shape = ImageShape(channels, height, width)
    z = MLPEncoder(shape, code, hidden)(torch.randn(batch, *shape))
    assert z.shape == (batch, code)
    assert MLPDecoder(code, shape, hidden)(z).shape == (batch, *shape)


@quick
@given(
    st.integers(1, 3), side, side, st.integers(1, 9), st.lists(st.integers(1, 5), min_size=1, max_size=2), st.booleans()
)
def test_convolutions_retrace_any_size(
    channels: int, height: int, width: int, code: int, features: list[int], single: bool
) -> None:
    shape = ImageShape(channels, height, width)
    image = torch.randn(1 if single else 3, *shape)
    z = ConvEncoder(shape, code, features)(image)
    assert z.shape == (len(image), code)
    assert ConvDecoder(code, shape, features)(z).shape == image.shape


@pytest.mark.parametrize("make", [lambda s, n: ConvEncoder(s, 4, n), lambda s, n: ConvDecoder(4, s, n)])
@pytest.mark.parametrize(
    ("size", "layers", "words"),
    [
        ((8, 8), 3, ["8x8", "3 convolutions", "1x1"]),
        ((4, 40), 2, ["4x40", "1x10"]),
        ((2, 2), 1, ["2x2", "1x1"]),
        ((8, 8), 0, ["at least one layer"]),
    ],
)
def test_too_small_an_image_is_one_clear_line(make: Any, size: tuple[int, int], layers: int, words: list[str]) -> None:
    with pytest.raises(ValueError, match=words[0]) as error:
        make(ImageShape(1, *size), [4] * layers)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("height", "width", "layers"), [(3, 3, 1), (5, 7, 2), (8, 8, 2), (9, 30, 3)])
def test_the_smallest_images_still_pass(height: int, width: int, layers: int) -> None:
    shape = ImageShape(1, height, width)
    z = ConvEncoder(shape, 4, [2] * layers)(torch.randn(2, *shape))
    assert ConvDecoder(4, shape, [2] * layers)(z).shape == (2, *shape)


@pytest.mark.parametrize("make", [lambda shape: MLPEncoder(shape, 5, ()), lambda shape: MLPDecoder(16, shape, ())])
def test_no_hidden_layer_is_an_affine_map(make: Any) -> None:
    network = make(ImageShape(1, 4, 4)).double()
    a, b = (torch.randn(3, 16).double() for _ in range(2))
    if isinstance(network, MLPEncoder):
        a, b = a.view(3, 1, 4, 4), b.view(3, 1, 4, 4)
    zero = torch.zeros_like(a)
    torch.testing.assert_close(network(a + b) + network(zero), network(a) + network(b))


def test_hidden_layers_are_not_affine_and_stand_in_the_order_given() -> None:
    encoder = MLPEncoder(ImageShape(1, 4, 4), 5, (12, 7))
    assert [(layer.in_features, layer.out_features) for layer in encoder if isinstance(layer, nn.Linear)] == [
        (16, 12),
        (12, 7),
        (7, 5),
    ]
    a, b = torch.randn(2, 3, 1, 4, 4)
    gap = encoder(a + b) + encoder(torch.zeros_like(a)) - encoder(a) - encoder(b)
    assert gap.abs().max() > 1e-3


@pytest.mark.parametrize("decoder", [MLPDecoder, ConvDecoder])
def test_the_output_of_a_decoder_is_unbounded(decoder: Any) -> None:
    image = decoder(3, ImageShape(1, 8, 8))(1e3 * torch.randn(50, 3))
    assert image.min() < -1
    assert image.max() > 1


@pytest.mark.parametrize("name", _CLASSES)
@pytest.mark.parametrize("network", [MLPEncoder, ConvEncoder])
def test_every_activation_can_be_named(name: Any, network: Any) -> None:
    layers = [type(layer) for layer in network(ImageShape(1, 8, 8), 4, (3, 3), name)]
    assert layers.count(activation_class(name)) == 2


def test_activation_names_mean_what_they_say() -> None:
    x = torch.linspace(-3, 3, 31)
    torch.testing.assert_close(activation_class("tanh")()(x), x.tanh())
    torch.testing.assert_close(activation_class("silu")()(x), x * x.sigmoid())
    torch.testing.assert_close(activation_class("relu")()(x), x.clamp_min(0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLPEncoder(ImageShape(1, 8, 8), 4, activation="sine"),  # type: ignore[arg-type]
        lambda: ConvDecoder(4, ImageShape(1, 8, 8), activation="sine"),  # type: ignore[arg-type]
    ],
)
def test_an_unknown_activation_is_one_clear_line(make: Any) -> None:
    with pytest.raises(ValueError, match=r"^activation is 'sine': choose one of relu, .*tanh"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda hidden: MLPEncoder(ImageShape(1, 8, 8), 4, hidden),
        lambda hidden: MLPDecoder(4, ImageShape(1, 8, 8), hidden),
    ],
)
def test_a_layer_without_units_is_one_clear_line(make: Any) -> None:
    with pytest.raises(ValueError, match=r"^hidden is \[8, 0\]: every layer needs at least one unit$"):
        make([8, 0])


@pytest.mark.parametrize(
    "make", [lambda n: ConvEncoder(ImageShape(1, 8, 8), 4, n), lambda n: ConvDecoder(4, ImageShape(1, 8, 8), n)]
)
def test_a_convolution_without_channels_is_one_clear_line(make: Any) -> None:
    with pytest.raises(ValueError, match=r"^channels is \[8, 0\]"):
        make([8, 0])


def test_image_shape_counts_its_values() -> None:
    shape = ImageShape(3, 4, 5)
    assert shape.numel == 60
    assert tuple(shape) == (3, 4, 5)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_saturating_networks_begin_with_glorots_variance(activation: Any) -> None:
    torch.manual_seed(0)
    for network in (
        MLPEncoder(ImageShape(1, 20, 20), 100, [300], activation),
        MLPDecoder(100, ImageShape(1, 20, 20), [300], activation),
    ):
        for layer in (layer for layer in network if isinstance(layer, nn.Linear)):
            fan = layer.in_features + layer.out_features
            assert layer.weight.var().item() == pytest.approx(2 / fan, rel=0.05)
            assert not layer.bias.any()
