"""Figures from tensors: pure functions, without pyplot and its global state.

Images are laid out pixel for pixel: small ones are enlarged by a whole factor and never resampled, so that what is
seen is what the model made.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from torch import Tensor

from callbacks.whole_file import whole_file

DPI = 150
TILE = 96  # pixels that an image is enlarged to, as nearly as a whole factor can
GAP = 3  # pixels between two images and around them
GAP_COLOR = (112, 146, 190)  # tinted, so that it is not taken for a part of black, grey or white images
MARGIN = 18  # pixels between a panel and its labels
FONT_SIZE = 9.0  # points
INK = "#222222"
SPLIT_COLORS = {"train": "#4c78a8", "val": "#e4572e"}

Curve = tuple[Sequence[float], Sequence[float]]


def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure so that ``path`` holds the old picture or the new one, never a part of one.

    Args:
        figure: what to write, at its own resolution.
        path: the PNG to write; its folder is made if it is missing.
    """
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi="figure", metadata={"Software": None})


def enlargement(height: int, width: int) -> int:
    """Returns the whole factor that brings an image of this size nearest to ``TILE`` pixels, at least 1."""
    return max(1, round(TILE / max(height, width)))


def image_grid(images: Tensor, columns: int) -> Tensor:
    """Lays images out row by row in one, enlarged by nearest neighbour and separated by thin lines.

    Args:
        images: float (N, C, H, W); clamped to [0, 1], NaN is drawn as 0. With 3 or more channels the first three are
            red, green and blue; with fewer the first is grey.
        columns: images in a row; the last row is filled up with the colour of the lines.

    Returns:
        uint8 (rows * (f * H + GAP) + GAP, columns * (f * W + GAP) + GAP, 3), where f is ``enlargement(H, W)``.
    """
    assert images.ndim == 4, f"expected (N, C, H, W), got {tuple(images.shape)}"
    assert columns >= 1
    images = images.detach().cpu().float().nan_to_num(0.0).clamp(0.0, 1.0)
    images = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    pixels = (images * 255).round().to(torch.uint8)
    factor = enlargement(*pixels.shape[-2:])
    pixels = pixels.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)

    rows = math.ceil(len(pixels) / columns)
    down, across = pixels.shape[-2] + GAP, pixels.shape[-1] + GAP
    grid = torch.tensor(GAP_COLOR, dtype=torch.uint8).repeat(rows * down + GAP, columns * across + GAP, 1)
    for place, tile in enumerate(pixels):
        top, left = GAP + place // columns * down, GAP + place % columns * across
        grid[top : top + tile.shape[-2], left : left + tile.shape[-1]] = tile.permute(1, 2, 0)
    return grid


def sample_panel(images: Tensor, columns: int) -> Figure:
    """Draws images alone, ``columns`` in a row.

    Args:
        images: (N, C, H, W) in [0, 1].
        columns: images in a row.
    """
    return _panel(images, columns, row_labels=[], column_labels=[])


def reconstruction_panel(rows: Mapping[str, Tensor]) -> Figure:
    """Draws labelled rows of images, one above the other, each column about the same example.

    Args:
        rows: label to images (N, C, H, W) in [0, 1], all of one shape.
    """
    images = list(rows.values())
    assert images, "a panel needs at least one row"
    assert all(row.shape == images[0].shape for row in images)
    return _panel(torch.cat([row.detach().cpu() for row in images]), len(images[0]), list(rows), [])


def traversal_panel(images: Tensor, row_labels: Sequence[str], sweep: Sequence[float]) -> Figure:
    """Draws what becomes of an image as single dimensions of its code are swept.

    Args:
        images: (D, S, C, H, W) in [0, 1]: D dimensions, S values each.
        row_labels: D names of dimensions.
        sweep: S offsets from the centre, in standard deviations of the dimension.
    """
    assert images.shape[:2] == (len(row_labels), len(sweep))
    column_labels = [f"{value:+g} sd".replace("-", "\N{MINUS SIGN}") if value else "mean" for value in sweep]
    return _panel(images.flatten(0, 1), len(sweep), row_labels, column_labels)


def interpolation_panel(images: Tensor) -> Figure:
    """Draws rows of images between two that are drawn from the prior.

    Args:
        images: (R, S, C, H, W) in [0, 1]: R pairs, S images from the first to the second.
    """
    return _panel(images.flatten(0, 1), images.shape[1], [], [])


def _panel(images: Tensor, columns: int, row_labels: Sequence[str], column_labels: Sequence[str]) -> Figure:
    """One grid of images with labels to the left of its rows and above its columns."""
    grid = image_grid(images, columns)
    height, width, _ = grid.shape
    left = math.ceil(max(map(text_width, row_labels)) + MARGIN + MARGIN // 2) if row_labels else 0
    top = round(FONT_SIZE * DPI / 72) + MARGIN if column_labels else 0
    figure = blank(left + width, top + height)
    figure.figimage(grid.numpy(), xo=left, yo=0, origin="upper")
    text_style: dict[str, Any] = {"fontsize": FONT_SIZE, "color": INK}
    row_pitch = (height - GAP) / max(len(row_labels), 1)
    for row, label in enumerate(row_labels):
        y = 1 - (top + GAP / 2 + (row + 0.5) * row_pitch) / (top + height)
        x = (left - MARGIN / 2) / (left + width)
        figure.text(x, y, label, ha="right", va="center", **text_style)
    column_pitch = (width - GAP) / columns
    for column, label in enumerate(column_labels):
        x = (left + GAP / 2 + (column + 0.5) * column_pitch) / (left + width)
        figure.text(x, 1 - top / 2 / (top + height), label, ha="center", va="center", **text_style)
    return figure


def blank(width: int, height: int) -> Figure:
    """An empty figure of so many pixels; the tenth keeps the canvas from rounding down."""
    return Figure(figsize=((width + 0.1) / DPI, (height + 0.1) / DPI), dpi=DPI, facecolor="white")


def text_width(text: str) -> float:
    """Returns about how many pixels wide a line of text is."""
    return float(TextPath((0, 0), text, size=FONT_SIZE).get_extents().width) * DPI / 72


def latent_scatter(codes: Tensor, labels: Tensor | None, title: str, axis_names: tuple[str, str]) -> Figure:
    """Draws codes as points in the plane, coloured by class where classes are known.

    Args:
        codes: (N, 2).
        labels: int (N,), class of each code, or None. Up to 20 classes get a legend, more a colour bar.
        title: printed above.
        axis_names: names of the two coordinates.
    """
    assert codes.ndim == 2
    assert codes.shape[1] == 2
    figure = Figure(figsize=(6.4, 5.2), dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    tidy(axes)
    axes.set_title(title, fontsize=FONT_SIZE + 1, color=INK, pad=10)
    axes.set_xlabel(axis_names[0], fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(axis_names[1], fontsize=FONT_SIZE, color=INK)
    axes.set_aspect("equal", adjustable="datalim")
    x, y = codes.detach().cpu().double().numpy().T
    size = min(16.0, max(5.0, 8000 / max(len(codes), 1)))
    points: dict[str, Any] = {"s": size, "alpha": 0.75, "linewidths": 0, "zorder": 2}
    if labels is None:
        axes.scatter(x, y, color=SPLIT_COLORS["train"], **points)
        return figure
    classes, position = torch.unique(labels.detach().cpu(), return_inverse=True)
    if len(classes) > 20:
        shades = axes.scatter(x, y, c=labels.cpu().numpy(), cmap="turbo", **points)
        bar = figure.colorbar(shades, ax=axes, shrink=0.8)
        bar.set_label("class", fontsize=FONT_SIZE, color=INK)
        bar.ax.tick_params(labelsize=FONT_SIZE - 1, colors="#555555")
        return figure
    palette = colormaps["tab10" if len(classes) <= 10 else "tab20"]
    axes.scatter(x, y, color=palette(position.numpy()), **points)
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=palette(place), label=str(name))
        for place, name in enumerate(classes.tolist())
    ]
    figure.legend(
        handles=handles,
        title="class",
        loc="outside right center",
        frameon=False,
        fontsize=FONT_SIZE,
        title_fontsize=FONT_SIZE,
    )
    return figure


def principal_plane(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Projects codes on their first two principal components.

    The sign of a component is free; here its largest weight is positive, so that pictures do not flip between epochs.

    Args:
        codes: (N, D) with D >= 2.

    Returns:
        float64 (N, 2), the coordinates, and float64 (2,), the share of the variance that each explains.
    """
    centred = (codes - codes.mean(dim=0)).double()
    if centred.shape[1] <= centred.shape[0]:
        variances, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    else:  # the same variances, of a smaller matrix
        variances, rows = torch.linalg.eigh(centred @ centred.T)
        directions = F.normalize(centred.T @ rows[:, -2:], dim=0)
    directions = directions[:, -2:].flip(1)  # (D, 2)
    largest = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True))
    share = variances[-2:].flip(0).clamp(min=0) / variances.clamp(min=0).sum().clamp(min=1e-300)
    return centred @ (directions * largest.sign()), share


def learning_curves(curves: Mapping[str, Mapping[str, Curve]], x_name: str = "step") -> Figure:
    """Draws one small panel per term of the objective or metric, with training and validation in the same panel.

    A panel is logarithmic where all its values are positive and a linear axis would press most of them to the floor.

    Args:
        curves: term to split (``train``, ``val``) to (positions, values), in the order of the panels. Those of a phase
            are named ``<phase> <term>`` and begin a row of their own.
        x_name: name of the horizontal axis.
    """
    assert curves, "there is nothing to draw"
    phases = [list(terms) for _, terms in groupby(curves, lambda term: term.rpartition(" ")[0])]
    longest = max(map(len, phases))
    columns = min(4, longest) if len(phases) > 1 else 2 if longest == 4 else min(3, longest)
    before = accumulate((math.ceil(len(terms) / columns) * columns for terms in phases), initial=0)
    places = [start + place for start, terms in zip(before, phases, strict=False) for place in range(len(terms))]
    rows = places[-1] // columns + 1
    figure = Figure(figsize=(3.5 * columns + 0.4, 2.5 * rows + 0.4), dpi=DPI, facecolor="white", layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (term, splits) in zip(panels[places], curves.items(), strict=True):
        tidy(axes)
        axes.set_title(term, fontsize=FONT_SIZE + 1, color=INK)
        for split, (positions, values) in splits.items():
            marker = "o" if len(values) <= 30 else ""
            style: dict[str, Any] = {"linewidth": 1.0, "alpha": 0.8} if split == "train" else {"linewidth": 1.6}
            axes.plot(positions, values, color=SPLIT_COLORS[split], marker=marker, markersize=3, **style)
        if _needs_log([value for _, values in splits.values() for value in values]):
            _make_log(axes)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    for place in set(range(len(panels))) - set(places):
        panels[place].remove()
    for column in range(columns):
        lowest = max(place for place in places if place % columns == column)
        panels[lowest].set_xlabel(x_name, fontsize=FONT_SIZE, color=INK)
    present = [split for split in SPLIT_COLORS if any(split in splits for splits in curves.values())]
    handles = [Line2D([], [], color=SPLIT_COLORS[split], linewidth=1.6, label=split) for split in present]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False, fontsize=FONT_SIZE)
    return figure


def _needs_log(values: Sequence[float]) -> bool:
    """Whether half of the values lie in the lowest twentieth of a linear axis that spans a factor of 3 or more."""
    finite = torch.tensor([value for value in values if math.isfinite(value)], dtype=torch.float64)
    if len(finite) < 3 or finite.min() <= 0:
        return False
    low, high = finite.min(), finite.max()
    return bool(high > 3 * low and finite.median() - low < 0.05 * (high - low))


def _make_log(axes: Axes) -> None:
    """A logarithmic axis with plain numbers, which are the more, the fewer powers of ten it spans."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    between = (1.0,) if decades > 2.5 else (1.0, 2.0, 5.0) if decades > 1.2 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=between, numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def tidy(axes: Axes) -> None:
    """Leaves two thin axes, small labels and a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(labelsize=FONT_SIZE - 1, colors="#555555", length=3)
    axes.grid(color="#e6e6e6", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
