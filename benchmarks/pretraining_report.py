"""What `benchmarks.pretraining` has found: tables of errors and gradients, and two pictures."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.commands import average
from benchmarks.panels import add_legend, panels_of
from benchmarks.pretraining_plan import Cell
from callbacks.drawing import FONT_SIZE, INK, Curve, save_png

COLORS = {"none": "#222222", "autoencoder": "#4c78a8", "denoising": "#54a24b", "sparse": "#f2a900", "rbm": "#e4572e"}
POINTS = 40  # of a curve of training: logged values in a row are averaged
TINY = 1e-12  # what a logarithmic axis shows of nothing
FILES = {"test": "test.json", "val": "validate.json"}


class Group(NamedTuple):
    """What runs have in common that differ in their seeds only, all of one depth."""

    activation: str
    budget: str
    kind: str


Curves = Mapping[Group, Mapping[str, Curve]]  # of each metric, mean over the seeds


def write_report(folders: Mapping[Cell, Path], part: str, folder: Path) -> str:
    """Write `table.md` and the pictures into a folder, and return the table.

    Args:
        folders: of all classifiers, trained or not.
        part: `test` or `val`, where the errors are measured.
        folder: to write into.
    """
    deepest = max(cell.depth for cell in folders)
    curves = mean_curves({cell: run for cell, run in folders.items() if cell.depth == deepest})
    texts = [error_tables(folders, part)]
    folder.mkdir(parents=True, exist_ok=True)
    if curves:
        texts.append(gradient_tables(curves))
        save_png(draw_losses(curves), folder / "learning_curves.png")
        save_png(draw_gradients(curves), folder / "gradients.png")
    text = "\n\n".join(texts)
    (folder / "table.md").write_text(text + "\n")
    return text


def read_metrics(path: Path) -> dict[str, Curve]:
    """Name to (steps, values) of each metric in a `metrics.csv`; nothing if there is no file."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    if path.exists():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name in row.keys() - {"step", "epoch"}:
                    if row[name] and row["step"]:
                        steps, values = curves.setdefault(name, ([], []))
                        steps.append(int(row["step"]))
                        values.append(float(row[name]))
    return dict(curves)


def mean_curves(folders: Mapping[Cell, Path]) -> Curves:
    """Curves of classifiers of one depth that have begun, each the mean over the seeds."""
    runs: dict[Group, list[dict[str, Curve]]] = {}
    for cell, folder in folders.items():
        if metrics := read_metrics(folder / "metrics.csv"):
            runs.setdefault(Group(cell.stack.activation, cell.budget, cell.stack.kind), []).append(metrics)
    return {
        group: {name: mean_curve([metrics[name] for metrics in several if name in metrics]) for name in several[0]}
        for group, several in runs.items()
    }


def mean_curve(curves: list[Curve]) -> Curve:
    """Mean of curves at the steps that all of them have."""
    by_step = [dict(zip(*curve, strict=True)) for curve in curves]
    steps = sorted(set.intersection(*(set(values) for values in by_step)))
    return steps, [mean(values[step] for values in by_step) for step in steps]


def thinned(curve: Curve) -> Curve:
    """At most `POINTS` points, each the mean of those in a row."""
    steps, values = curve
    width = -(-len(steps) // POINTS)
    starts = range(0, len(steps), max(width, 1))
    return [mean(steps[at : at + width]) for at in starts], [mean(values[at : at + width]) for at in starts]


def error_tables(folders: Mapping[Cell, Path], part: str) -> str:
    """A Markdown table for each activation: errors in percent, mean and range over the seeds."""
    texts = []
    for activation in unique(cell.stack.activation for cell in folders):
        cells = [cell for cell in folders if cell.stack.activation == activation]
        budgets = unique(cell.budget for cell in cells)
        header = ["pretraining", "hidden layers", *(f"{labels(budget)} labels" for budget in budgets)]
        lines = [_row(header), _row(["---"] * len(header))]
        for kind in unique(cell.stack.kind for cell in cells):
            for depth in unique(cell.depth for cell in cells):
                row = [cell for cell in cells if (cell.stack.kind, cell.depth) == (kind, depth)]
                found = [[folders[cell] for cell in row if cell.budget == budget] for budget in budgets]
                lines.append(_row([kind, str(depth), *(_errors(runs, part) for runs in found)]))
        seeds = ", ".join(unique(str(cell.stack.seed) for cell in cells))
        what = "test" if part == "test" else "validation"
        texts.append("\n".join([f"Error of {what} in %, {activation} units, seeds {seeds}:", "", *lines]))
    return "\n\n".join(texts)


def _errors(runs: list[Path], part: str) -> str:
    tested = [json.loads(path.read_text()) for run in runs if (path := run / FILES[part]).exists()]
    return average([100 * (1 - found[f"{part}/accuracy"]) for found in tested]) if tested else ""


def labels(budget: str) -> str:
    """How many, as it is written."""
    return budget if budget == "all" else f"{int(budget):,}"


def gradient_tables(curves: Curves) -> str:
    """A Markdown table for each activation: gradients of each layer with the most labels, at first and on average."""
    texts = []
    for activation in unique(group.activation for group in curves):
        budget, kinds = _gradients(curves, activation)
        names = list(next(iter(kinds.values())))
        lines = [_row(["pretraining", *names]), _row(["---"] * (len(names) + 1))]
        for kind, layers in kinds.items():
            lines.append(_row([kind, *(f"{curve[1][0]:.1e}, {mean(curve[1]):.1e}" for curve in layers.values())]))
        steps, _ = next(iter(next(iter(kinds.values())).values()))
        what = f"after {steps[0] + 1:g} steps and mean of all, {activation} units, {labels(budget)} labels"
        texts.append("\n".join([f"Root mean square gradient of the weights, {what}:", "", *lines]))
    return "\n\n".join(texts)


def _gradients(curves: Curves, activation: str) -> tuple[str, dict[str, dict[str, Curve]]]:
    """The last budget of an activation, and kind to layer to the curve of its gradient."""
    budget = [group.budget for group in curves if group.activation == activation][-1]
    kinds: dict[str, dict[str, Curve]] = {}
    for group, metrics in curves.items():
        names = sorted(name for name in metrics if name.startswith("gradient/"))  # layer1 to layer9
        names.sort(key=lambda name: name == "gradient/head")
        if group[:2] == (activation, budget) and names:
            kinds[group.kind] = {name.partition("/")[2]: metrics[name] for name in names}
    return budget, kinds


def draw_losses(curves: Curves) -> Figure:
    """The loss of training over the steps: a row of panels for each activation, one for each budget, a line a kind."""
    activations = unique(group.activation for group in curves)
    budgets = unique(group.budget for group in curves)
    figure, panels = panels_of(len(activations), len(budgets))
    for activation, row in zip(activations, panels, strict=True):
        for budget, axes in zip(budgets, row, strict=True):
            axes.set_title(f"{activation}, {labels(budget)} labels", fontsize=FONT_SIZE + 1, color=INK)
            for group, metrics in curves.items():
                if group[:2] == (activation, budget):
                    axes.plot(*thinned(metrics["train/total"]), color=COLORS[group.kind], linewidth=1.4)
            _steps(axes)
        row[0].set_ylabel("training loss", fontsize=FONT_SIZE, color=INK)
    add_legend(figure, {kind: COLORS[kind] for kind in unique(group.kind for group in curves)})
    return figure


def draw_gradients(curves: Curves) -> Figure:
    """Gradients with the most labels: a row for each activation; by layer at first, then over the steps by kind."""
    activations = unique(group.activation for group in curves)
    found = [_gradients(curves, activation) for activation in activations]
    most = max(len(kinds) for _, kinds in found)
    figure, panels = panels_of(len(activations), 1 + most)
    layers: list[str] = []
    for activation, (budget, kinds), row in zip(activations, found, panels, strict=True):
        first = row[0]
        first.set_ylabel("RMS gradient of weights", fontsize=FONT_SIZE, color=INK)
        first.set_title(f"{activation}, {labels(budget)} labels, at first", fontsize=FONT_SIZE + 1, color=INK)
        for axes, (kind, by_layer) in zip(row[1:], kinds.items(), strict=False):
            layers = list(by_layer)
            start = [max(values[0], TINY) for _, values in by_layer.values()]
            first.plot(
                [name.removeprefix("layer") for name in layers],
                start,
                color=COLORS[kind],
                marker="o",
                markersize=3,
                linewidth=1.4,
            )
            axes.set_title(kind, fontsize=FONT_SIZE + 1, color=COLORS[kind])
            for color, curve in zip(_shades(len(layers)), by_layer.values(), strict=True):
                steps, values = thinned(curve)
                axes.plot(steps, [max(value, TINY) for value in values], color=color, linewidth=1.2)
            axes.sharey(first)
            _steps(axes)
        first.set_yscale("log")
        first.set_xlabel("layer", fontsize=FONT_SIZE, color=INK)
        for axes in row[1 + len(kinds) :]:
            axes.remove()
    add_legend(figure, dict(zip(layers, _shades(len(layers)), strict=True)))
    return figure


def _steps(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_xlabel("step", fontsize=FONT_SIZE, color=INK)


def _shades(count: int) -> list[Any]:
    """Dark for the lowest layer, light for the head."""
    return [colormaps["viridis"](0.9 * place / max(count - 1, 1)) for place in range(count)]


def unique(items: Iterable[Any]) -> list[Any]:
    """Each once, in the order of their first."""
    return list(dict.fromkeys(items))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
