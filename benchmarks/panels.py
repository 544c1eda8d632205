"""Figures of several panels, in the style of all pictures."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from callbacks.drawing import DPI, FONT_SIZE, tidy

_ENTRY = 1.6  # inches that an entry of the legend takes


def panels_of(rows: int, columns: int) -> tuple[Figure, Any]:
    """An empty figure, and its panels as an array (rows, columns) of Axes."""
    size = (2.6 * columns + 0.4, 2.3 * rows + 0.5)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flatten():
        tidy(axes)
    return figure, panels


def add_legend(figure: Figure, colors: Mapping[str, Any]) -> None:
    """Name the colours above the panels, in as many rows as their width asks for."""
    handles = [Line2D([], [], color=color, linewidth=1.6, label=name) for name, color in colors.items()]
    columns = max(1, min(len(handles), int(figure.get_figwidth() / _ENTRY)))
    figure.legend(handles=handles, loc="outside upper right", ncols=columns, frameon=False, fontsize=FONT_SIZE)
