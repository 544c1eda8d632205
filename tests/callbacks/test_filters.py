from pathlib import Path

import pytest
import torch
from drawn import Plain, loader, names, pixels, trainer_in
from torch import Tensor

from callbacks.drawing import GAP, image_grid
from callbacks.filter_drawing import filter_panel
from callbacks.pictures import Pictures


class Looking(Plain):
    """Has 12 units, of which unit k weighs nothing but pixel k."""

    def filters(self) -> Tensor:
        self.modes.append(self.training)
        return torch.eye(64)[:12].view(12, 1, 8, 8) * torch.linspace(-3, 3, 12).view(-1, 1, 1, 1)


def tiles(path: Path, columns: int, count: int) -> Tensor:
    """The first pixel row of each image in a grid of 8 x 8 images, enlarged 12 times, as (count, 8, 3)."""
    grid, pitch = pixels(path), 96 + GAP
    return torch.stack(
        [grid[GAP + place // columns * pitch, GAP + place % columns * pitch :][:96:12] for place in range(count)]
    )


def test_first_units_are_drawn_in_training_and_not_again_in_a_test(tmp_path: Path) -> None:
    pictures = Pictures(n_filters=7)
    trainer, model = trainer_in(tmp_path, pictures), Looking()
    trainer.fit(model, loader(), loader())
    trainer.validate(model, loader(), verbose=False)
    trainer.test(model, loader(), verbose=False)
    assert names(pictures) == ["filters.png"]
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["filters.png"]
    assert model.modes == [False]
    drawn = pixels(tmp_path / "media/filters.png")
    assert drawn.shape == image_grid(torch.zeros(7, 1, 8, 8), 3).shape
    expected = torch.full((7, 8), 128)
    for unit in range(7):
        expected[unit, unit] = 0 if unit < 6 else 255
    shown = tiles(tmp_path / "media/filters.png", columns=3, count=7)
    assert torch.equal(shown, expected.to(torch.uint8).unsqueeze(2).expand(-1, -1, 3))


def test_all_units_are_drawn_where_there_are_fewer(tmp_path: Path) -> None:
    trainer_in(tmp_path, Pictures()).fit(Looking(), loader(), loader())
    assert pixels(tmp_path / "media/filters.png").shape == image_grid(torch.zeros(12, 1, 8, 8), 4).shape


def test_a_run_that_only_tests_has_no_filters(tmp_path: Path) -> None:
    pictures = Pictures()
    trainer_in(tmp_path, pictures).validate(Looking(), loader(), verbose=False)
    trainer_in(tmp_path, pictures).test(Looking(), loader(), verbose=False)
    assert pictures.paths == []


def test_filters_must_be_some() -> None:
    with pytest.raises(ValueError, match="n_filters is 0"):
        Pictures(n_filters=0)


def panel_pixels(filters: Tensor, folder: Path) -> Tensor:
    """Grey or colour of each weight of one unit, uint8 (H, W, 3)."""
    figure = filter_panel(filters, 1)
    figure.savefig(folder / "filters.png", dpi="figure")
    size = filters.shape[-1]
    return pixels(folder / "filters.png")[GAP:-GAP, GAP:-GAP][:: 96 // size, :: 96 // size]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_grey_is_linear_in_the_weight_whatever_the_scale(scale: float, tmp_path: Path) -> None:
    weights = scale * torch.tensor([-1.0, -0.5, 0.0, 4.0]).view(1, 1, 2, 2)
    shown = panel_pixels(weights, tmp_path)
    assert shown[..., 0].flatten().tolist() == [96, 112, 128, 255]
    assert (shown == shown[..., :1]).all()


def test_a_unit_without_weights_is_mid_grey(tmp_path: Path) -> None:
    assert (panel_pixels(torch.zeros(1, 1, 2, 2), tmp_path) == 128).all()


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [64, 128, 255]), (4, [64, 128, 255])]
)
def test_colours_share_the_scale_of_what_is_shown(channels: int, expected: list[int], tmp_path: Path) -> None:
    weights = torch.tensor([-1.0, 0.0, 2.0, 50.0])[:channels].view(1, channels, 1, 1).expand(1, channels, 2, 2)
    assert panel_pixels(weights, tmp_path)[0, 0].tolist() == expected
