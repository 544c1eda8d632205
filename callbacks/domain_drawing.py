"""Figures of two domains: features side by side, decision boundaries. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from callbacks.drawing import DPI, FONT_SIZE, INK, SPLIT_COLORS, tidy

DOMAIN_COLORS = (SPLIT_COLORS["train"], SPLIT_COLORS["val"])  # of source and target
UNKNOWN = "#6b6b6b"  # of examples whose class is not known
_LEGEND = 20  # classes that a legend names


class Plane(NamedTuple):
    """Examples of the two domains in the plane.

    Attributes:
        source: (N, 2).
        target: (M, 2).
    """

    source: Tensor
    target: Tensor


class Classes(NamedTuple):
    """Classes of the examples of two domains.

    Attributes:
        source: int (N,).
        target: int (M,), or None where they are not known.
        names: of all classes.
    """

    source: Tensor
    target: Tensor | None
    names: Sequence[str]


class Decision(NamedTuple):
    """What a model says all over a part of the plane.

    Attributes:
        probability: (H, W, K) of the classes, rows from the lowest y on.
        low: the smallest x and y.
        high: the largest x and y.
    """

    probability: Tensor
    low: tuple[float, float]
    high: tuple[float, float]


def domain_scatter(panels: Mapping[str, Plane], domains: tuple[str, str], title: str) -> Figure:
    """Draws examples coloured by domain, in a panel for each moment of a training.

    Args:
        panels: title of each panel to the examples; coordinates mean nothing and get no ticks.
        domains: names of source and target.
        title: printed above.
    """
    figure = Figure(figsize=(4.3 * len(panels) + 0.3, 4.9), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=FONT_SIZE + 2, color=INK)
    for axes, (name, plane) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _frame(axes, name)
        points = torch.cat(plane).numpy()
        colors = np.repeat(DOMAIN_COLORS, [len(part) for part in plane])
        order = _mixed(len(points))  # neither domain hides the other
        style: dict[str, Any] = {"c": colors[order], "s": _size(len(points)), "alpha": 0.7, "linewidths": 0}
        axes.scatter(*points[order].T, **style)
    handles = [_handle("o", color, domain) for domain, color in zip(domains, DOMAIN_COLORS, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=FONT_SIZE)
    return figure


def class_scatter(plane: Plane, classes: Classes, domains: tuple[str, str], title: str) -> Figure:
    """Draws examples of both domains coloured by class, the source's as dots and the target's as crosses.

    Args:
        plane: the examples; coordinates mean nothing and get no ticks.
        classes: of both domains.
        domains: names of source and target.
        title: printed above.
    """
    assert classes.target is not None
    figure = Figure(figsize=(6.6, 5.6), dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    _frame(axes, title)
    palette = _palette(len(classes.names))
    size = _size(len(plane.source) + len(plane.target))
    dots: dict[str, Any] = {"c": palette[classes.source], "s": size, "alpha": 0.45, "linewidths": 0}
    axes.scatter(*plane.source.numpy().T, **dots)
    crosses: dict[str, Any] = {"c": palette[classes.target], "s": 1.9 * size, "marker": "x", "linewidths": 0.9}
    axes.scatter(*plane.target.numpy().T, alpha=0.9, **crosses)
    handles = [_handle("o", UNKNOWN, domains[0]), _handle("x", UNKNOWN, domains[1])]
    _legend(figure, handles, classes.names)
    return figure


def boundary_panels(
    panels: Mapping[str, Decision], plane: Plane, classes: Classes, domains: tuple[str, str], title: str
) -> Figure:
    """Draws where a model decides for which class, with the examples of both domains over it.

    The source's examples are filled with the colour of their class. The target's are rings: grey, or of the colour of
    their class where that is known.

    Args:
        panels: title of each panel to what the model says in it.
        plane: the examples, the same in all panels.
        classes: of both domains.
        domains: names of source and target.
        title: printed above.
    """
    low, high = next(iter(panels.values()))[1:]
    height = min(6.0, max(2.0, 4.3 * (high[1] - low[1]) / (high[0] - low[0])))
    figure = Figure(figsize=(4.6 * len(panels) + 1.7, height + 0.9), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=FONT_SIZE + 2, color=INK)
    palette = _palette(len(classes.names))
    rings = palette[classes.target] if classes.target is not None else UNKNOWN
    size = min(22.0, max(9.0, 7000 / max(len(plane.source), 1)))
    dots: dict[str, Any] = {"c": palette[classes.source], "s": size, "edgecolors": "white", "linewidths": 0.4}
    circles: dict[str, Any] = {"s": 1.2 * size, "facecolors": "none", "edgecolors": rings, "linewidths": 0.9}
    for axes, (name, decision) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        tidy(axes)
        axes.grid(visible=False)
        axes.set_title(name, fontsize=FONT_SIZE, color=INK)
        axes.set_aspect("equal")
        _shade(axes, decision, palette)
        axes.scatter(*plane.source.numpy().T, **dots)
        axes.scatter(*plane.target.numpy().T, **circles)
        axes.set_xlim(decision.low[0], decision.high[0])
        axes.set_ylim(decision.low[1], decision.high[1])
    told = "" if classes.target is not None else ", class unknown"
    handles = [
        _handle("o", UNKNOWN, domains[0]),
        _handle("o", UNKNOWN, domains[1] + told, fillstyle="none", markeredgewidth=1.1),
    ]
    _legend(figure, handles, classes.names)
    return figure


def _shade(axes: Axes, decision: Decision, palette: NDArray[np.float64]) -> None:
    """Tints the plane by the classes' probabilities, and draws lines where the likeliest class changes."""
    probability = decision.probability.double().numpy()
    tint = 1 - 0.38 * (1 - probability @ palette[: probability.shape[-1], :3])
    (left, bottom), (right, top) = decision.low, decision.high
    axes.imshow(tint.clip(0, 1), extent=(left, right, bottom, top), origin="lower", interpolation="bilinear", zorder=0)
    x = np.linspace(left, right, probability.shape[1])
    y = np.linspace(bottom, top, probability.shape[0])
    for place in range(probability.shape[-1] if probability.shape[-1] > 2 else 1):
        lead = probability[..., place] - np.delete(probability, place, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            axes.contour(x, y, lead, levels=[0.0], colors=[INK], linewidths=1.1)


def _frame(axes: Axes, title: str) -> None:
    """A box without ticks, for coordinates that mean nothing."""
    axes.set_title(title, fontsize=FONT_SIZE, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#cccccc")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.04)


def _legend(figure: Figure, domains: Sequence[Line2D], names: Sequence[str]) -> None:
    palette = _palette(len(names))
    listed = enumerate(names) if len(names) <= _LEGEND else ()
    handles = [*domains, *(_handle("s", palette[place], name) for place, name in listed)]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=FONT_SIZE, labelspacing=0.6)


def _handle(marker: str, color: Any, label: str, **style: Any) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, markersize=5.5, color=color, label=label, **style)


def _palette(classes: int) -> NDArray[np.float64]:
    """RGBA (K, 4)."""
    if classes > 20:
        return np.asarray(colormaps["turbo"](np.linspace(0.05, 0.95, classes)))
    return np.asarray(colormaps["tab10" if classes <= 10 else "tab20"](range(classes)))


def _size(points: int) -> float:
    return min(18.0, max(6.0, 12000 / max(points, 1)))


def _mixed(points: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(points)
