"""A figure of points in the plane beside those that a model has made."""

from typing import Any

from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import DPI, FONT_SIZE, INK, SPLIT_COLORS, tidy
from metrics import REACH


def sample_scatter(samples: Tensor, data: Tensor | None, modes: tuple[Tensor, float] | None, title: str) -> Figure:
    """Draws samples over data, and the true modes as circles of three standard deviations.

    The axes follow the data, where there are none the modes, and else the samples, so that pictures of different times
    can be compared. What lies outside is not seen.

    Args:
        samples: (N, 2).
        data: (M, 2), or None.
        modes: centres (K, 2) and standard deviation, where they are known.
        title: printed above.
    """
    figure = Figure(figsize=(5.4, 5.6), dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    tidy(axes)
    axes.set_title(title, fontsize=FONT_SIZE + 1, color=INK, pad=10)
    axes.set_aspect("equal")
    shown = data if data is not None else modes[0] if modes is not None else samples
    low, high = shown.min(0).values, shown.max(0).values
    centre, reach = (low + high) / 2, 0.65 * float((high - low).max().clamp(min=1e-6))
    if modes is not None:
        reach += REACH * modes[1]
    axes.set_xlim(float(centre[0]) - reach, float(centre[0]) + reach)
    axes.set_ylim(float(centre[1]) - reach, float(centre[1]) + reach)
    if data is not None:
        axes.scatter(data[:, 0], data[:, 1], s=5, color="#bbbbbb", linewidths=0, zorder=1, label="data")
    style: dict[str, Any] = {"color": SPLIT_COLORS["val"], "alpha": 0.6, "linewidths": 0}
    axes.scatter(samples[:, 0], samples[:, 1], s=7, zorder=2, label="samples", **style)
    if modes is not None:
        centres, width = modes[0].numpy(), 2 * REACH * modes[1]
        circles = EllipseCollection(
            [width] * len(centres),
            [width] * len(centres),
            [0.0] * len(centres),
            units="xy",
            offsets=centres,
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=SPLIT_COLORS["train"],
            linewidths=0.9,
            zorder=3,
        )
        axes.add_collection(circles)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=FONT_SIZE, markerscale=2)
    return figure
