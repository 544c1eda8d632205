"""The Vision Transformer: what it is told of places, what it leaves out, and what its parts mean to others."""

from typing import Any

import pytest
import torch
from torch import Tensor

from networks import (
    Backbone,
    BlockOptions,
    ConvClassifier,
    ImageShape,
    PatchEncoder,
    Preparation,
    TransformerEncoder,
    VisionTransformer,
    patch_attention,
)

SHAPE = ImageShape(2, 8, 12)
SMALL: dict[str, Any] = {"dim": 16, "heads": 2, "layers": 3}
POOLINGS = pytest.mark.parametrize("pooling", ["class_token", "mean"])


def encoder(**kwargs: Any) -> PatchEncoder:
    torch.manual_seed(0)
    return PatchEncoder(SHAPE, **{**SMALL, **kwargs}).eval()


def classifier(**kwargs: Any) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(SHAPE, 5, **{**SMALL, **kwargs}).eval()


@pytest.fixture
def image() -> Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(1))


@POOLINGS
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_it_knows_where_a_patch_stands(pooling: Any, positions: Any, image: Tensor) -> None:
    network = encoder(pooling=pooling, positions=positions)
    swapped = image.clone()
    swapped[..., :4, :4], swapped[..., 4:, 8:] = image[..., 4:, 8:], image[..., :4, :4]
    assert (network(swapped) - network(image)).abs().amax() > 1e-4
    network.position.data.zero_()
    torch.testing.assert_close(network(swapped), network(image))


@POOLINGS
def test_what_is_left_out_is_not_seen(pooling: Any, image: Tensor) -> None:
    network = encoder(pooling=pooling)
    kept = torch.tensor([[4, 1], [0, 5], [2, 3]])
    token = network.tokens(image, kept)
    assert token.shape == (3, network.prefix + 2, 16)
    hidden = image.clone()
    hidden[0, :, :4, :4] = 9.0  # patch 0 of the first image, which keeps 4 and 1
    hidden[1, :, :4, 4:8] = 9.0
    assert torch.equal(network.tokens(hidden, kept), token)
    hidden[0, :, 4:, 4:8] = 9.0  # patch 4
    moved = (network.tokens(hidden, kept) - token).abs().amax((1, 2))
    assert moved[0] > 1e-4
    assert not moved[1:].any()


@POOLINGS
def test_all_patches_in_any_order_are_the_whole_image(pooling: Any, image: Tensor) -> None:
    network = encoder(pooling=pooling)
    order = torch.stack([torch.randperm(6) for _ in range(3)])
    whole, shuffled = network.tokens(image), network.tokens(image, order)
    patches = shuffled[:, network.prefix :]
    back = patches.gather(1, order.argsort(1).unsqueeze(2).expand(-1, -1, 16))
    torch.testing.assert_close(back, whole[:, network.prefix :], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled[:, : network.prefix], whole[:, : network.prefix], rtol=1e-4, atol=1e-5)


@POOLINGS
@pytest.mark.parametrize("norm_first", [True, False])
def test_maps_lead_to_the_same_classes(pooling: Any, norm_first: bool, image: Tensor) -> None:
    network = classifier(pooling=pooling, norm_first=norm_first)
    maps, logits = network.feature_maps(image)
    assert maps.shape == (3, 16, 2, 3)
    torch.testing.assert_close(logits, network(image))
    (slope,) = torch.autograd.grad(logits[:, 0].sum(), maps)
    assert (slope.abs().amax(1) > 0).all()


def test_the_class_token_reads_but_takes_no_place(image: Tensor) -> None:
    with_token, without = encoder(), encoder(pooling="mean")
    assert (with_token.prefix, without.prefix) == (1, 0)
    assert with_token.grid == without.grid == (2, 3)
    assert torch.equal(with_token(image), with_token.tokens(image)[:, 0])
    torch.testing.assert_close(without(image), without.tokens(image).mean(1))


def test_a_backbone_finds_each_block_and_the_head(image: Tensor) -> None:
    blocks = [f"encoder.blocks.{place}" for place in range(3)]
    headless = Backbone(encoder(), Preparation(SHAPE), "PatchEncoder", headless=True)
    assert [block.name for block in headless.blocks] == ["embedding", *blocks]
    assert any(vector is headless.network.class_token for vector in headless.blocks[0].parameters)
    whole = classifier()
    expected = whole.features(image)
    made = Backbone(whole, Preparation(SHAPE), "VisionTransformer")
    assert (made.head_name, made.out_features) == ("head", 16)
    assert [block.name for block in made.blocks] == ["encoder.embedding", *(f"encoder.{name}" for name in blocks)]
    torch.testing.assert_close(made(image), expected)


def test_every_parameter_learns(image: Tensor) -> None:
    for pooling in ("class_token", "mean"):
        network = classifier(pooling=pooling).train()
        network(image).square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_what_decay_leaves_alone() -> None:
    assert len(encoder().without_decay()) == 2
    assert encoder(pooling="mean", positions="sinusoidal").without_decay() == []
    assert "position" not in encoder(positions="sinusoidal").state_dict()


def test_attention_lies_on_the_grid(image: Tensor) -> None:
    network = classifier()
    before = network(image)
    found = patch_attention(network, image)
    assert found is not None
    assert [weights.shape for weights in found.layers] == 3 * [(3, 2, 7, 7)]
    assert (found.grid, found.prefix) == ((2, 3), 1)
    weights = torch.arange(49.0).view(1, 7, 7)
    assert torch.equal(found.heat(weights), torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
    pooled = patch_attention(classifier(pooling="mean"), image)
    assert pooled is not None
    assert torch.equal(pooled.heat(torch.arange(36.0).view(6, 6)), torch.arange(15.0, 21.0).view(2, 3))
    assert torch.equal(network(image), before)
    assert patch_attention(ConvClassifier(SHAPE, 5), image) is None


def test_stochastic_depth_leaves_out_whole_layers_of_examples() -> None:
    torch.manual_seed(0)
    stack = TransformerEncoder(BlockOptions(16, 2, drop_path=0.6), 3)
    assert [block.around_attention.drop_path for block in stack.blocks] == pytest.approx([0.0, 0.3, 0.6])  # type: ignore[union-attr]
    highest: Any = stack.blocks[2]
    x, y = torch.rand(4000, 2, 16), torch.ones(4000, 2, 16)
    added = highest.around_feedforward.add(x, y) - x
    left = (added.abs().amax((1, 2)) < 1e-6).float().mean().item()
    assert left == pytest.approx(0.6, abs=0.03)
    torch.testing.assert_close(
        added[added.abs().amax((1, 2)) > 1e-6].unique().mean().item(), 1 / 0.4, rtol=1e-3, atol=0
    )
    torch.testing.assert_close(highest.eval().around_feedforward.add(x, y), x + y)


def test_stochastic_depth_of_one_layer_is_that_of_the_highest() -> None:
    (block,) = TransformerEncoder(BlockOptions(16, 2, drop_path=0.6), 1).blocks
    assert block.around_attention.drop_path == 0.6  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": 5}, "patch_size is 5: choose a divisor of the height and width of the images, 8x12: 1, 2, 4"),
        ({"drop_path": 1.0}, r"drop_path is 1.0: choose one in \[0, 1\)"),
        ({"pooling": "cls"}, "pooling is 'cls': choose class_token or mean"),
        ({"positions": "rotary"}, "positions is 'rotary': choose learned or sinusoidal"),
        ({"positions": "sinusoidal", "dim": 18}, "dim is 18: sinusoidal positions of a grid need a multiple of 4"),
        ({"heads": 3}, "heads is 3: choose a divisor of dim, 16"),
        ({"layers": 0}, "layers is 0: choose at least 1"),
    ],
)
def test_impossible_arguments_are_one_clear_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        classifier(**arguments)
