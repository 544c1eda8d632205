"""A figure of who attends to whom: a map of weights for each layer and head. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from numpy.typing import NDArray
from torch import Tensor

from callbacks.drawing import DPI, FONT_SIZE, INK, blank, text_width
from callbacks.tile_drawing import shortened
from networks.tokens import VISIBLE

BETWEEN = 10  # pixels between two maps
_CELL = 22  # pixels that a weight is wide and high at most
_READABLE = 9  # pixels that it is at least where it bears a label
_WIDE, _WIDEST = 2000, 2900  # pixels that all maps together are wide and high; the second for the sake of labels only
_LETTER = 0.62  # width of a letter on average, in sizes of its font
_LINE = round(1.9 * FONT_SIZE * DPI / 72)  # pixels from one line of text to the next
_BAR = (14, 200)  # pixels that the bar of shades is wide and high
_FAINT = "#555555"


def attention_grid(
    weights: Mapping[str, Tensor], rows: Sequence[str], columns: Sequence[str], title: str, axis_names: tuple[str, str]
) -> Figure:
    """Draws the weights of one example, layers from top to bottom and heads from left to right.

    A weight of 0 is white and one of 1 dark blue. Shades go by the square root, which keeps small weights visible.

    Args:
        weights: name of each layer to float (H, T, S) in [0, 1].
        rows: T names of the positions that attend.
        columns: S names of those that they attend to.
        title: printed above.
        axis_names: what the rows and the columns are.
    """
    layers, heads = len(weights), max(map(len, weights.values()))
    most = max(heads * len(columns), layers * len(rows))  # weights from one side of the figure to the other
    cell = min(_CELL, max(_WIDE // most, min(_READABLE, _WIDEST // most), 1))
    across, down = (len(side) * cell + BETWEEN for side in (columns, rows))  # pixels from one map to the next
    size = min(FONT_SIZE - 1, 0.95 * cell * 72 / DPI)
    names = [[shortened(printable(name)) if cell >= _READABLE else "" for name in side] for side in (rows, columns)]
    upright = any(len(name) > 1 for name in names[1])
    beside, above = (round(_LETTER * size * DPI / 72 * max(map(len, side))) + 8 for side in names)
    left, top = beside + 2 * _LINE, (above if upright else cell + 4) + 3 * _LINE
    width = max(left + heads * across + 3 * _LINE, math.ceil(1.15 * text_width(title)) + _LINE)
    height = top + max(layers * down, _BAR[1]) + _LINE // 2
    figure = blank(width, height)

    def write(text: str, x: float, y: float, **style: Any) -> None:
        style = {"fontsize": FONT_SIZE, "color": INK, "ha": "center", "va": "center", "parse_math": False, **style}
        figure.text(x / width, 1 - y / height, text, **style)

    def paint(pixels: NDArray[Any], x: int, y: int) -> None:
        figure.figimage(pixels, xo=x, yo=height - y - len(pixels), origin="upper")

    write(title, _LINE / 2, _LINE / 2, ha="left", weight="bold")
    write(axis_names[1], left + heads * across / 2, 1.4 * _LINE, color=_FAINT)
    write(axis_names[0], _LINE / 2, top + layers * down / 2, rotation=90, color=_FAINT)
    label: dict[str, Any] = {"fontsize": size, "color": _FAINT}
    for layer, (name, of_heads) in enumerate(weights.items()):
        y = top + layer * down
        write(name, 1.5 * _LINE, y + (down - BETWEEN) / 2, rotation=90)
        for place, text in enumerate(names[0]):
            write(text, left - 5, y + (place + 0.5) * cell, **{**label, "ha": "right", "va": "center_baseline"})
        for head, weight in enumerate(of_heads):
            paint(_map(weight, cell), left + head * across, y)
    for head in range(heads):
        x = left + head * across
        write(f"head {head + 1}", x + (across - BETWEEN) / 2, 2.4 * _LINE)
        for place, text in enumerate(names[1]):
            turned = {"rotation": 90, "va": "bottom"} if upright else {"va": "baseline"}
            write(text, x + (place + 0.5) * cell, top - 5, **{**label, **turned})
    bar = np.linspace(1, 0, _BAR[1])
    x = left + heads * across
    paint(shades(np.repeat(bar[:, None] ** 2, _BAR[0], axis=1)), x, top)
    for value in (0, 0.01, 0.1, 0.25, 0.5, 1):
        write(f"{value:g}", x + _BAR[0] + 5, top + (1 - value**0.5) * _BAR[1], ha="left", fontsize=FONT_SIZE - 2)
    return figure


def shades(weights: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns the colours of weights, float (H, W) in [0, 1], as uint8 (H, W, 3)."""
    colors: NDArray[np.uint8] = colormaps["Blues"](np.sqrt(weights), bytes=True)[..., :3]
    colors[weights == 0] = 255
    return colors


def printable(name: str) -> str:
    """Returns a token's name as it can be drawn: space and line end as signs, and what the font lacks as a box."""
    shown = name.translate(VISIBLE)
    return "".join(letter if ord(letter) in _letters() else "\N{WHITE SQUARE}" for letter in shown)


def _map(weights: Tensor, cell: int) -> NDArray[np.uint8]:
    """Pixels of a map, (T, S) -> (T * cell, S * cell, 3), with a thin frame."""
    pixels = shades(weights.detach().cpu().double().clamp(0, 1).numpy()).repeat(cell, axis=0).repeat(cell, axis=1)
    for edge in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:]):
        pixels[edge] = np.minimum(pixels[edge], 190)
    return pixels


@cache
def _letters() -> frozenset[int]:
    """What the font of the figures has."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
