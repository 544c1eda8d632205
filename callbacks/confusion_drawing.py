"""A figure of which classes were taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from callbacks.drawing import DPI, FONT_SIZE, INK, SPLIT_COLORS

_EDGE = 0.09  # inches around everything
_READABLE = 20  # classes of a table whose cells hold numbers


def confusions(label: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Counts examples by class.

    Args:
        label: int64 (N,), true class of each.
        predicted: int64 (N,), the class that each was taken for.
        classes: number of classes, K.

    Returns:
        int64 (K, K), true classes in rows.
    """
    return torch.bincount(label * classes + predicted, minlength=classes**2).view(classes, classes)


def confusion_table(counts: Tensor, names: Sequence[str], title: str) -> Figure:
    """Draws how often each class was taken for which, and the accuracy of each class beside it.

    Args:
        counts: int (K, K), examples of each true class (rows) by predicted class (columns).
        names: K names of classes.
        title: printed above.
    """
    classes, of_class = len(names), counts.sum(dim=1)
    share = (counts / of_class.clamp(min=1)[:, None]).numpy()
    cell = 1.0 if classes <= 4 else 0.56 if classes <= _READABLE else 11.0 / classes
    beside = 1.6 / cell  # the width of the bars and their numbers, in cells
    inches = cell * classes
    layout = ConstrainedLayoutEngine(w_pad=_EDGE, h_pad=_EDGE)
    figure = Figure(figsize=(inches + 2.5, inches + 1.2), dpi=DPI, facecolor="white", layout=layout)
    axes = figure.subplots()
    axes.set_title(title, fontsize=FONT_SIZE + 1, color=INK, loc="left", pad=24)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = max(3.0, min(FONT_SIZE - 1, 43 * cell))
    tilted = max(map(len, names)) * 0.085 > cell
    axes.set_xticks(range(classes), names, rotation=45 if tilted else 0, ha="right" if tilted else "center")
    axes.set_yticks(range(classes), names)
    axes.tick_params(labelsize=size, colors="#555555", length=0)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("true class", fontsize=FONT_SIZE, color=INK)
    axes.set_xlabel("predicted class", fontsize=FONT_SIZE, color=INK, x=0.5 * classes / (classes + beside))
    for line in (np.arange(classes + 1) - 0.5) if classes <= _READABLE else ():
        axes.plot([line, line], [-0.5, classes - 0.5], color="#dddddd", linewidth=0.7)
        axes.plot([-0.5, classes - 0.5], [line, line], color="#dddddd", linewidth=0.7)
    for row, column in counts.nonzero().tolist() if classes <= _READABLE else ():
        style: dict[str, Any] = {"ha": "center", "color": "white" if share[row, column] > 0.55 else INK}
        axes.text(column, row - 0.04, f"{share[row, column]:.0%}", va="bottom", fontsize=FONT_SIZE - 1, **style)
        axes.text(column, row + 0.06, f"{counts[row, column]:,}", va="top", fontsize=FONT_SIZE - 3, **style)
    start, longest = classes - 0.5 + 0.1 * beside, 0.5 * beside
    axes.barh(range(classes), longest * share.diagonal(), 0.6, left=start, color=SPLIT_COLORS["train"])
    for row, value in enumerate(share.diagonal() if classes <= _READABLE else ()):
        told = f"{value:.1%}" if of_class[row] else "none"
        axes.text(start + 1.1 * longest, row, told, va="center", fontsize=FONT_SIZE - 1, color=INK)
    axes.text(start, -0.58, "accuracy", va="bottom", fontsize=FONT_SIZE - 1, color="#555555")
    axes.set_xlim(-0.5, classes - 0.5 + beside)
    axes.set_ylim(classes - 0.5, -0.5)
    return figure
