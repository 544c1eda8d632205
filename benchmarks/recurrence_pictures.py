"""Pictures of what `benchmarks.attention_vs_recurrence` has found."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.panels import add_legend, panels_of
from callbacks.drawing import FONT_SIZE, INK

COLORS = {"transformer": "#4c78a8", "recurrent": "#e4572e"}
STYLES: dict[str, Literal["--", "-"]] = {"untrained": "--", "trained": "-"}

Bins = dict[str, dict[tuple[int, int | None], list[float]]]  # network to first and last place to the scores of seeds


class Panel(NamedTuple):
    """Scores of a contest over bins, and what these are of."""

    x_name: str
    bins: Bins


def draw_bins(panels: Mapping[str, Panel]) -> Figure:
    """Scores over bins: a panel for each contest, a line for each network, a bar from worst to best seed.

    Args:
        panels: title to what is found.
    """
    figure, (row,) = panels_of(1, len(panels))
    figure.set_figwidth(figure.get_figwidth() + 0.6 * len(panels))
    for (title, (x_name, found)), axes in zip(panels.items(), row, strict=True):
        places = sorted({place for bins in found.values() for place in bins}, key=lambda place: place[0])
        for network, bins in found.items():
            there = [place for place in places if place in bins]
            means = [mean(bins[place]) for place in there]
            below = [average - min(bins[place]) for average, place in zip(means, there, strict=True)]
            above = [max(bins[place]) - average for average, place in zip(means, there, strict=True)]
            line = {"color": COLORS[network], "linewidth": 1.4, "marker": "o", "markersize": 3}
            at = [places.index(place) for place in there]
            axes.errorbar(at, means, (below, above), capsize=2, elinewidth=0.8, **line)
        axes.set_xticks(range(len(places)), [_shown(place) for place in places], rotation=45, ha="right")
        axes.set_ylim(-4, 104)
        axes.set_title(title, fontsize=FONT_SIZE + 1, color=INK)
        axes.set_xlabel(x_name, fontsize=FONT_SIZE, color=INK)
    add_legend(figure, COLORS)
    return figure


def _shown(place: tuple[int, int | None]) -> str:
    low, high = place
    return f"{low}+" if high is None else f"{low}-{high}"


def draw_gradients(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Norms of gradients over the distance, dashed before training.

    Args:
        curves: `<network>, trained` or `<network>, untrained` to the norms from distance 0 on.
    """
    figure, axes = _one_panel()
    for name, curve in curves.items():
        network, _, state = name.partition(", ")
        axes.plot(range(len(curve)), curve, color=COLORS[network], linestyle=STYLES[state], linewidth=1.4)
    handles = [Line2D([], [], color=INK, linestyle=style, label=state) for state, style in STYLES.items()]
    axes.legend(handles=handles, loc="lower left", frameon=False, fontsize=FONT_SIZE - 1)
    axes.set_yscale("log")
    axes.set_xlabel("tokens before the last", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel("gradient, relative to the last", fontsize=FONT_SIZE, color=INK)
    add_legend(figure, COLORS)
    return figure


def draw_speeds(speeds: Mapping[str, Mapping[str, float]]) -> Figure:
    """Tokens a second over the length of sequences.

    Args:
        speeds: network to length to tokens a second.
    """
    figure, axes = _one_panel()
    for network, by_length in speeds.items():
        lengths = [int(length) for length in by_length]
        axes.plot(lengths, list(by_length.values()), color=COLORS[network], linewidth=1.4, marker="o", markersize=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(0)
    axes.set_xlabel("tokens of a sequence", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel("training tokens in a CPU second", fontsize=FONT_SIZE, color=INK)
    add_legend(figure, COLORS)
    return figure


def _one_panel() -> tuple[Figure, Axes]:
    figure, panels = panels_of(1, 1)
    figure.set_size_inches(4.6, 3.2)
    return figure, panels[0, 0]
