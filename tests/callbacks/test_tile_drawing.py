"""Sheets of tiles, pixel by pixel."""

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import enlargement
from callbacks.tile_drawing import columns_for, shortened, tile, tile_sheet


def drawn(figure: Figure) -> Tensor:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return torch.from_numpy(np.asarray(canvas.buffer_rgba()).copy())[..., :3]


def test_images_are_enlarged_and_laid_out_in_rows() -> None:
    images = torch.rand(5, 3, 8, 8)
    tiles = [tile(image, ("a", "#000000"), ("b", "#000000")) for image in images]
    picture = drawn(tile_sheet("title", {"first": [tiles[:3]], "second": [tiles[3:4], tiles[4:]]}))
    places = []
    for one in tiles:
        assert one.pixels.shape == (96, 96, 3)
        assert one.pixels[::12, ::12].equal((images[len(places)] * 255).round().to(torch.uint8).permute(1, 2, 0))
        corners = (picture == one.pixels[0, 0]).all(2).nonzero().tolist()
        found = [
            (y, x) for y, x in corners if torch.equal(picture[y : y + 96, x : x + 96], one.pixels)
        ]  # the first of each
        assert len(found) == 1
        places += found
    rows, columns = zip(*places, strict=True)
    assert rows[0] == rows[1] == rows[2] < rows[3] < rows[4]
    assert columns[0] == columns[3] == columns[4] < columns[1] < columns[2]
    assert columns[2] - columns[1] == columns[1] - columns[0] > 96


def test_heat_is_relative_and_leaves_cold_places_grey() -> None:
    image = torch.full((3, 8, 8), 0.5)
    image[0] = 0.8
    heat = torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    warm = tile(image, heat=heat).pixels.float() / 255
    assert torch.equal(warm, tile(image, heat=7 * heat).pixels.float() / 255)
    cold, hot = warm[0, 0], warm[-1, -1]
    assert cold.max() - cold.min() < 0.02
    assert hot[0] > hot[2] + 0.1  # yellow
    assert hot.sum() > cold.sum() + 1
    assert torch.isfinite(tile(image, heat=torch.zeros(2, 2)).pixels.float()).all()
    grey = tile(torch.rand(1, 8, 8)).pixels
    assert grey[..., 0].equal(grey[..., 2])


def test_wide_words_and_wide_images_leave_room_for_fewer_columns() -> None:
    small, large = (tile(torch.rand(1, size, size), ("7", "#000000")) for size in (8, 300))
    worded = tile(torch.rand(1, 8, 8), ("a class with a long name  99.9%", "#000000"))
    assert enlargement(300, 300) == 1
    assert columns_for([small] * 20, 10) == 10
    assert columns_for([large] * 20, 10) == 4
    assert 4 <= columns_for([worded] * 20, 10) < 10
    assert columns_for([large], 3) == 3


def test_a_sheet_without_tiles_is_its_title() -> None:
    figure = tile_sheet("nothing to see", {})
    assert [text.get_text() for text in figure.texts] == ["nothing to see"]
    assert drawn(figure).shape[0] < 80


def test_long_names_are_cut() -> None:
    assert shortened("0123456789abcd") == "0123456789abcd"
    assert shortened("0123456789abcde") == "0123456789abc\N{HORIZONTAL ELLIPSIS}"
