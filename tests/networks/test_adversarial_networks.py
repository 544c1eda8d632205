"""Generators, discriminators, and what belongs to them."""

from typing import Any

import pytest
import torch
from torch import nn

from networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    DifferentiableAugmentation,
    FreshNoise,
    KeyedNoise,
    MLPDiscriminator,
    MLPGenerator,
    MovingAverage,
    ResidualDiscriminator,
    ResidualGenerator,
)

PAIRS: dict[str, tuple[Any, Any]] = {
    "mlp": (MLPGenerator, MLPDiscriminator),
    "dcgan": (DCGANGenerator, DCGANDiscriminator),
    "residual": (ResidualGenerator, ResidualDiscriminator),
}
WIDTH: dict[str, dict[str, Any]] = {"mlp": {"hidden": (16,)}, "dcgan": {"width": 8}, "residual": {"width": 8}}


@pytest.mark.parametrize("num_classes", [0, 5])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)], ids=str)
@pytest.mark.parametrize("kind", PAIRS)
def test_every_pair_fits_every_image(kind: str, shape: tuple[int, ...], num_classes: int) -> None:
    make_generator, make_discriminator = PAIRS[kind]
    generator = make_generator(7, shape, num_classes, **WIDTH[kind])
    discriminator = make_discriminator(shape, num_classes, **WIDTH[kind])
    label = torch.arange(4) if num_classes else None
    image = generator(torch.randn(4, 7), label)
    assert image.shape == (4, *shape)
    assert image.min() >= 0
    assert image.max() <= 1
    score = discriminator(image, label)
    assert score.shape == (4,)
    score.sum().backward()
    assert all(parameter.grad is not None for parameter in [*generator.parameters(), *discriminator.parameters()])


@pytest.mark.parametrize("kind", PAIRS)
def test_a_class_changes_what_is_made_and_what_is_thought_of_it(kind: str) -> None:
    torch.manual_seed(0)
    make_generator, make_discriminator = PAIRS[kind]
    generator = make_generator(7, (1, 8, 8), 2, **WIDTH[kind]).eval()
    discriminator = make_discriminator((1, 8, 8), 2, **WIDTH[kind]).eval()
    z, zeros, ones = torch.randn(3, 7), torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64)
    assert not torch.allclose(generator(z, zeros), generator(z, ones))
    image = torch.rand(3, 1, 8, 8)
    assert not torch.allclose(discriminator(image, zeros), discriminator(image, ones))


def test_points_are_not_bounded() -> None:
    torch.manual_seed(0)
    generator = MLPGenerator(4, (2,), hidden=(8,))
    assert generator(100 * torch.randn(500, 4)).abs().max() > 1


@pytest.mark.parametrize(
    "discriminator",
    [
        MLPDiscriminator((2,), hidden=(16, 16), spectral_norm=True),
        DCGANDiscriminator((1, 8, 8), width=8, normalisation="spectral"),
        ResidualDiscriminator((1, 8, 8), 3, width=8),
    ],
    ids=lambda network: type(network).__name__,
)
def test_spectral_norm_brings_every_weight_to_one(discriminator: nn.Module) -> None:
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)]
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.mul_(7)  # type: ignore[operator, union-attr]
            for _ in range(200):  # a power iteration each
                weight = layer.weight
            norm = torch.linalg.matrix_norm(weight.flatten(1), 2)
            assert norm.item() == pytest.approx(1, rel=1e-2)


def test_what_cannot_be_built_is_one_clear_line() -> None:
    for make, start in {
        lambda: DCGANGenerator(4, (1, 9, 9)): "an image of 9x9 cannot be halved",
        lambda: DCGANGenerator(4, (2,)): "data of shape (2,) are no images",
        lambda: ResidualDiscriminator((1, 7, 7)): "an image of 7x7",
        lambda: DCGANDiscriminator((1, 8, 8), width=0): "width is 0",
        lambda: DCGANDiscriminator((1, 8, 8), normalisation="layer"): "normalisation is 'layer'",  # type: ignore[arg-type]
        lambda: MLPGenerator(4, (2,), hidden=(0,)): "hidden is [0]",
        lambda: DifferentiableAugmentation(["flip"]): "policy has 'flip'",  # type: ignore[list-item]
        lambda: DifferentiableAugmentation(cutout=1.5): "cutout is 1.5",
    }.items():
        with pytest.raises(ValueError, match=r"choose|take|set|give|needs") as error:
            make()
        assert str(error.value).startswith(start)


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.norm(self.layer(x))
        return output


def test_a_moving_average_is_the_weighted_sum_of_what_it_saw() -> None:
    network = Counted()
    average = MovingAverage(network, decay=0.3)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(6):
        with torch.no_grad():
            network(torch.randn(8, 3) + step)
            for weight in network.parameters():
                weight.add_(torch.randn_like(weight))
        average.update(network, step)
        decay = min(0.3, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            expected[name] = (
                decay * expected[name] + (1 - decay) * value if value.is_floating_point() else value.clone()
            )
    for name, value in average.network.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert expected["norm.num_batches_tracked"] == 6
    assert not average.network.training
    average.train()
    assert not average.network.training
    assert not any(weight.requires_grad for weight in average.parameters())


def test_no_decay_follows_at_once() -> None:
    network = Counted()
    average = MovingAverage(network, decay=0.0)
    with torch.no_grad():
        network.layer.weight.fill_(5)
    average.update(network, 100)
    torch.testing.assert_close(average.network.layer.weight, network.layer.weight)


def test_augmentation_lets_gradients_through_and_leaves_the_image_where_nothing_is_asked() -> None:
    image = torch.rand(6, 3, 12, 12, requires_grad=True)
    noise = FreshNoise(torch.arange(6))
    assert torch.equal(DifferentiableAugmentation([])(image, noise), image)
    for policy in (["color"], ["translation"], ["cutout"], ["color", "translation", "cutout"]):
        out = DifferentiableAugmentation(policy)(image, noise)  # type: ignore[arg-type]
        assert out.shape == image.shape
        assert not torch.equal(out, image)
        (gradient,) = torch.autograd.grad(out.sum(), image)
        assert gradient.abs().sum() > 0


def test_translation_moves_whole_images_by_at_most_the_share() -> None:
    image = torch.zeros(200, 1, 16, 16)
    image[:, :, 8, 8] = 1
    moved = DifferentiableAugmentation(["translation"], translation=0.125)(image, KeyedNoise(torch.arange(200)))
    rows, columns = moved[:, 0].flatten(1).argmax(1) // 16, moved[:, 0].flatten(1).argmax(1) % 16
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(200))
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(6, 11))


def test_cutout_cuts_a_square_of_its_size() -> None:
    image = torch.zeros(300, 1, 16, 16)
    out = DifferentiableAugmentation(["cutout"], cutout=0.5)(image, KeyedNoise(torch.arange(300)))
    cut = (out == 0.5).sum((1, 2, 3))
    assert cut.max() <= 64
    assert (cut == 64).any()  # where the square lies wholly inside
    assert (cut > 0).all()


def test_every_image_has_draws_of_its_own() -> None:
    image = torch.rand(1, 3, 12, 12).expand(5, -1, -1, -1)
    out = DifferentiableAugmentation(["color"])(image, FreshNoise(torch.arange(5)))
    assert len({tuple(one.flatten().tolist()) for one in out}) == 5
