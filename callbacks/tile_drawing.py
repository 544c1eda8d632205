"""Figures of images with lines of text below each, and with heat laid over them. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import DPI, FONT_SIZE, GAP, INK, MARGIN, SPLIT_COLORS, blank, enlargement, text_width

WRONG = SPLIT_COLORS["val"]  # the colour of what is said of a predicted class that is not the true one
_WIDEST = 1300  # pixels that a figure is wide at most, if its tiles leave a choice
_EDGE = 10  # pixels around everything
_LINE = round(1.35 * FONT_SIZE * DPI / 72)  # pixels from one line of text to the next
_NAME = 14  # letters of a class's name that are shown
_HEAT = 0.55  # weight of the heat over an image

Line = tuple[str, str]
"""A text and its colour."""


class Tile(NamedTuple):
    """An image and what stands below it.

    Attributes:
        pixels: uint8 (H, W, 3).
        lines: texts and their colours.
    """

    pixels: Tensor
    lines: Sequence[Line]


def tile(image: Tensor, *lines: Line, heat: Tensor | None = None) -> Tile:
    """Makes a tile of an image, enlarged by a whole factor.

    Args:
        image: float (C, H, W) in [0, 1]. With 3 or more channels the first three are red, green and blue; with fewer
            the first is grey.
        lines: texts and their colours, from top to bottom.
        heat: float (H', W'), none negative, laid over the image in colours from black over red to yellow, after the
            image's own are taken away. It is relative to its largest value, and interpolated bilinearly.
    """
    image = image.detach().cpu().float().nan_to_num(0.0).clamp(0.0, 1.0)
    image = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    factor = enlargement(*image.shape[1:])
    image = image.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2).permute(1, 2, 0)  # (H, W, 3)
    if heat is not None:
        heat = heat.detach().cpu().float()
        heat = heat / heat.max().clamp(min=1e-30)
        heat = F.interpolate(heat[None, None], image.shape[:2], mode="bilinear", align_corners=False)[0, 0]
        colors = torch.from_numpy(np.asarray(colormaps["inferno"](heat.numpy()), np.float32)[..., :3])
        image = (1 - _HEAT) * image.mean(2, keepdim=True) + _HEAT * colors
    return Tile((image * 255).round().to(torch.uint8), lines)


def columns_for(tiles: Sequence[Tile], most: int) -> int:
    """Returns how many of the tiles fit beside each other: at most so many, and no fewer than four if four are."""
    return max(min(most, 4), min(most, _WIDEST // _pitch(tiles)))


def tile_sheet(title: str, sections: Mapping[str, Sequence[Sequence[Tile]]]) -> Figure:
    """Draws rows of tiles, in sections one below the other.

    Args:
        title: printed above, bold.
        sections: heading of each section to its rows; tiles of one row have the same size and as many lines.
    """
    rows = [row for section in sections.values() for row in section]
    pitch = _pitch([tile for row in rows for tile in row])
    words = max([1.2 * text_width(title), *map(text_width, sections)])  # the title is bold
    width = math.ceil(2 * _EDGE + max(max(map(len, rows), default=0) * pitch, words))
    heading_height, section_height = round(1.4 * _LINE), _LINE
    height = 2 * _EDGE + heading_height + sum(map(_height, rows)) + len(sections) * (heading_height + section_height)
    figure = blank(width, height)

    def write(text: str, x: float, y: float, **style: Any) -> None:
        figure.text(x / width, 1 - y / height, text, **{"fontsize": FONT_SIZE, "color": INK, "va": "top", **style})

    y = _EDGE
    write(title, _EDGE, y, weight="bold")
    y += heading_height
    for heading, section in sections.items():
        y += section_height
        write(heading, _EDGE, y)
        y += heading_height
        for row in section:
            for column, (pixels, lines) in enumerate(row):
                left = _EDGE + column * pitch + (pitch - pixels.shape[1]) // 2
                figure.figimage(pixels.numpy(), xo=left, yo=height - y - len(pixels), origin="upper")
                for place, (text, color) in enumerate(lines):
                    middle, below = left + pixels.shape[1] / 2, y + len(pixels) + GAP + place * _LINE
                    write(text, middle, below, ha="center", color=color, fontsize=FONT_SIZE - 1)
            y += _height(row)
    return figure


def shortened(name: str) -> str:
    """Returns a class's name, or its beginning if it is a long one."""
    return name if len(name) <= _NAME else name[: _NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _pitch(tiles: Sequence[Tile]) -> int:
    """Pixels from the middle of one tile to that of the next."""
    words = max((text_width(text) for tile in tiles for text, _ in tile.lines), default=0.0)
    return math.ceil(max(max((tile.pixels.shape[1] for tile in tiles), default=0) + 2 * GAP, words + MARGIN / 2))


def _height(row: Sequence[Tile]) -> int:
    """Pixels from the top of a row of tiles to that of the next."""
    return max(len(tile.pixels) + len(tile.lines) * _LINE for tile in row) + MARGIN // 2 + GAP
