import math
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor

from callbacks.drawing import (
    GAP,
    GAP_COLOR,
    enlargement,
    image_grid,
    latent_scatter,
    learning_curves,
    principal_plane,
    reconstruction_panel,
    sample_panel,
    save_png,
    traversal_panel,
)


def written_pixels(figure: Figure, folder: Path) -> Tensor:
    """The uint8 (H, W, 3) that a viewer of the PNG sees."""
    save_png(figure, folder / "picture.png")
    return (torch.tensor(imread(folder / "picture.png"))[..., :3] * 255).round().to(torch.uint8)


@pytest.mark.parametrize(
    ("size", "factor"), [((8, 8), 12), ((28, 28), 3), ((32, 32), 3), ((8, 16), 6), ((224, 224), 1)]
)
def test_small_images_are_enlarged_by_a_whole_factor(size: tuple[int, int], factor: int) -> None:
    assert enlargement(*size) == factor


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_of_every_image_is_where_it_belongs(channels: int) -> None:
    images = torch.rand(5, channels, 28, 32)
    grid = image_grid(images, columns=3)
    height, width = 28 * 3 + GAP, 32 * 3 + GAP
    assert grid.shape == (2 * height + GAP, 3 * width + GAP, 3)
    for place, image in enumerate(images):
        top, left = GAP + place // 3 * height, GAP + place % 3 * width
        tile = grid[top : top + 28 * 3, left : left + 32 * 3]
        expected = (image * 255).round().to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0)
        for row_offset in range(3):
            for column_offset in range(3):
                assert torch.equal(tile[row_offset::3, column_offset::3], expected)


def test_lines_frame_the_images_and_fill_the_empty_place() -> None:
    grid = image_grid(torch.zeros(3, 1, 8, 8), columns=2)
    line = torch.tensor(GAP_COLOR, dtype=torch.uint8)
    pitch = 8 * 12 + GAP
    for start in (0, pitch, 2 * pitch):
        assert (grid[start : start + GAP] == line).all()
        assert (grid[:, start : start + GAP] == line).all()
    assert (grid[pitch:, pitch:] == line).all()
    assert (grid == 0).all(dim=-1).sum() == 3 * 96 * 96


def test_values_outside_the_range_and_nan_are_drawn_at_its_ends() -> None:
    image = torch.tensor([-3.0, 7.0, math.nan, 0.5]).view(1, 1, 2, 2)
    tile = image_grid(image, columns=1)[GAP:-GAP, GAP:-GAP, 0]
    assert tile[::48, ::48].tolist() == [[0, 255], [0, 128]]


@pytest.mark.parametrize(("channels", "shown"), [(2, [0, 0, 0]), (5, [0, 1, 2])])
def test_other_numbers_of_channels_show_the_first(channels: int, shown: list[int]) -> None:
    image = torch.linspace(0, 1, channels).view(1, channels, 1, 1).expand(1, channels, 8, 8)
    tile = image_grid(image, columns=1)[GAP, GAP]
    assert tile.tolist() == [round(255 * channel / (channels - 1)) for channel in shown]


def test_the_png_of_samples_is_the_grid_itself(tmp_path: Path) -> None:
    images = torch.rand(6, 3, 32, 32)
    assert torch.equal(written_pixels(sample_panel(images, 3), tmp_path), image_grid(images, 3))


def test_panel_of_reconstructions_has_unresampled_rows_beside_their_labels(tmp_path: Path) -> None:
    rows = {"input": torch.rand(4, 1, 8, 8), "corrupted input": torch.rand(4, 1, 8, 8), "out": torch.rand(4, 1, 8, 8)}
    figure = reconstruction_panel(rows)
    pixels = written_pixels(figure, tmp_path)
    grid = image_grid(torch.cat(list(rows.values())), 4)
    margin = pixels.shape[1] - grid.shape[1]
    assert torch.equal(pixels[:, margin:], grid)
    assert (pixels[:, :margin] < 100).any(), "no label is seen"
    assert (pixels[:, :2] == 255).all(), "a label is cut off"
    assert [text.get_text() for text in figure.texts] == list(rows)
    heights = [1 - text.get_position()[1] for text in figure.texts]
    assert heights == pytest.approx([1 / 6, 3 / 6, 5 / 6], abs=0.01)


def test_traversal_has_a_row_for_each_dimension_and_a_column_for_each_value(tmp_path: Path) -> None:
    images = torch.rand(2, 3, 1, 28, 28)
    figure = traversal_panel(images, ["$z_4$", "$z_1$"], [-3.0, 0.0, 1.5])
    pixels = written_pixels(figure, tmp_path)
    grid = image_grid(images.flatten(0, 1), 3)
    assert torch.equal(pixels[-grid.shape[0] :, -grid.shape[1] :], grid)
    labels = ["$z_4$", "$z_1$", "\N{MINUS SIGN}3 sd", "mean", "+1.5 sd"]
    assert [text.get_text() for text in figure.texts] == labels


def test_points_have_the_colour_of_their_class_in_the_legend() -> None:
    codes = torch.randn(40, 2)
    labels = torch.arange(40) % 4 * 5
    figure = latent_scatter(codes, labels, "title", ("a", "b"))
    (axes,) = figure.axes
    (points,) = axes.collections
    assert torch.allclose(torch.tensor(points.get_offsets().data), codes.double())
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "5", "10", "15"]
    for place, handle in enumerate(legend.legend_handles):
        assert tuple(points.get_facecolor()[place][:3]) == pytest.approx(handle.get_color()[:3])
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("title", "a", "b")


@pytest.mark.parametrize(("labels", "axes"), [(None, 1), (torch.arange(50), 2)])
def test_no_classes_need_no_legend_and_many_get_a_colour_bar(labels: Tensor | None, axes: int) -> None:
    figure = latent_scatter(torch.randn(50, 2), labels, "title", ("a", "b"))
    assert not figure.legends
    assert len(figure.axes) == axes


@pytest.mark.parametrize("shape", [(200, 6), (20, 300)])
def test_principal_plane_agrees_with_an_independent_library(shape: tuple[int, int]) -> None:
    from sklearn.decomposition import PCA

    codes = torch.randn(shape, dtype=torch.float64) @ torch.randn(shape[1], shape[1], dtype=torch.float64)
    plane, share = principal_plane(codes)
    reference = PCA(2).fit(codes.numpy())
    assert torch.allclose(plane.abs(), torch.tensor(reference.transform(codes.numpy())).abs(), atol=1e-9)
    assert torch.allclose(share, torch.tensor(reference.explained_variance_ratio_))


@pytest.mark.parametrize("dimensions", [3, 9])
def test_principal_plane_of_a_collapsed_code_is_a_point(dimensions: int) -> None:
    plane, share = principal_plane(torch.ones(5, dimensions))
    assert torch.equal(plane, torch.zeros(5, 2, dtype=torch.float64))
    assert torch.equal(share, torch.zeros(2, dtype=torch.float64))


def test_training_and_validation_share_the_panel_of_their_term() -> None:
    curves = {
        "total": {"train": ([0, 5, 10], [3.0, 2.0, 1.0]), "val": ([5, 10], [2.5, 1.5])},
        "accuracy": {"val": ([5, 10], [0.5, 0.75])},
    }
    figure = learning_curves(curves)
    assert [axes.get_title() for axes in figure.axes] == ["total", "accuracy"]
    drawn = [[(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines] for axes in figure.axes]
    assert drawn == [list(curves["total"].values()), list(curves["accuracy"].values())]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "val"]


def test_each_phase_begins_a_row() -> None:
    terms = {"": 2, "layer1 ": 3, "layer2 ": 5, "readout ": 1}
    names = [f"{phase}{letter}" for phase, count in terms.items() for letter in "abcde"[:count]]
    figure = learning_curves({name: {"train": ([1, 2], [1.0, 0.5])} for name in names})
    figure.draw_without_rendering()
    places = {axes.get_title(): axes.get_position() for axes in figure.axes}
    assert list(places) == names
    lower = [places[first].y1 for first in ("a", "layer1 a", "layer2 a", "layer2 e", "readout a")]
    assert lower == sorted(lower, reverse=True)
    assert len(set(lower)) == 5
    assert places["layer1 a"].y0 == pytest.approx(places["layer1 c"].y0)
    for phase in terms:
        assert places[f"{phase}a"].x0 == pytest.approx(places["a"].x0)
    labelled = {axes.get_title() for axes in figure.axes if axes.get_xlabel()}
    assert labelled == {"readout a", "layer2 b", "layer2 c", "layer2 d"}


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1000.0, 3.0, 2.0, 1.5, 1.2], "log"),
        ([1000.0, 3.0, 2.0, 1.5, -0.1], "linear"),
        ([5.0, 4.0, 3.0, 2.0, 1.0], "linear"),
        ([0.01, 18.0, 19.0, 20.0, 20.0], "linear"),
        ([1000.0, 3.0, math.nan, 2.0, 1.5], "log"),
        ([1.3, 1.01, 1.0, 1.0, 1.0], "linear"),
    ],
)
def test_log_scale_only_where_a_linear_one_hides_the_curve(values: list[float], scale: str) -> None:
    figure = learning_curves({"total": {"train": (list(range(5)), values)}})
    assert figure.axes[0].get_yscale() == scale


@pytest.mark.parametrize("terms", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("name", ["term{}", "layer{} loss"])
def test_any_number_of_panels_can_be_written(name: str, terms: int, tmp_path: Path) -> None:
    figure = learning_curves({name.format(i): {"train": ([1, 2], [1.0, 0.5])} for i in range(terms)})
    assert len(figure.axes) == terms
    assert written_pixels(figure, tmp_path).float().std() > 0


def test_a_failed_write_leaves_the_old_picture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "media" / "picture.png"
    save_png(sample_panel(torch.zeros(1, 1, 8, 8), 1), path)
    before = path.read_bytes()

    def fail(self: Figure, file: Path, **kwargs: object) -> None:
        file.write_bytes(b"half a pic")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_png(sample_panel(torch.ones(1, 1, 8, 8), 1), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
