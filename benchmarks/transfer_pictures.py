"""Pictures of what `benchmarks.transfer` has found."""

from collections.abc import Mapping, Sequence
from statistics import mean

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from benchmarks.panels import add_legend, panels_of
from callbacks.drawing import FONT_SIZE, INK

COLORS = {
    "scratch": "#222222",
    "feature_extraction": "#4c78a8",
    "last_blocks": "#54a24b",
    "full": "#f2a900",
    "probe_then_finetune": "#e4572e",
}


def draw_accuracies(found: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]]) -> Figure:
    """Accuracy over the number of labels: a panel for each domain, a line for each way, a bar from worst to best seed.

    Args:
        found: domain to way to labels of each class to the accuracies of all seeds, in [0, 1].
    """
    figure, panels = panels_of(1, len(found))
    for (domain, ways), axes in zip(found.items(), panels[0], strict=True):
        for way, by_labels in ways.items():
            labels = sorted(by_labels)
            means = [mean(by_labels[count]) for count in labels]
            below = [average - min(by_labels[count]) for average, count in zip(means, labels, strict=True)]
            above = [max(by_labels[count]) - average for average, count in zip(means, labels, strict=True)]
            line = {"color": COLORS[way], "linewidth": 1.4, "marker": "o", "markersize": 3}
            axes.errorbar(labels, means, (below, above), capsize=2, elinewidth=0.8, **line)
        numbers = sorted({count for by_labels in ways.values() for count in by_labels})
        axes.set_xscale("log")
        axes.set_xlim(numbers[0] / 1.5, numbers[-1] * 1.5)
        axes.xaxis.set_major_locator(FixedLocator(numbers))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(count) for count in numbers])
        axes.set_title(domain, fontsize=FONT_SIZE + 1, color=INK)
        axes.set_xlabel("labels a class", fontsize=FONT_SIZE, color=INK)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panels[0][0].set_ylabel("accuracy of the test", fontsize=FONT_SIZE, color=INK)
    add_legend(figure, {way: color for way, color in COLORS.items() if any(way in ways for ways in found.values())})
    return figure


def draw_learning(found: Mapping[tuple[str, int], Mapping[str, Sequence[float]]]) -> Figure:
    """Accuracy of validation over the epochs: a row of panels for each domain, one for each number of labels.

    Args:
        found: domain and labels of each class to way to the accuracy after each epoch, in [0, 1].
    """
    domains = list(dict.fromkeys(domain for domain, _ in found))
    numbers = sorted({labels for _, labels in found})
    figure, panels = panels_of(len(domains), len(numbers))
    for domain, row in zip(domains, panels, strict=True):
        for labels, axes in zip(numbers, row, strict=True):
            for way, values in found.get((domain, labels), {}).items():
                axes.plot(range(1, len(values) + 1), values, color=COLORS[way], linewidth=1.4)
            axes.set_title(f"{domain}, {labels} labels a class", fontsize=FONT_SIZE + 1, color=INK)
            axes.set_xlabel("epoch", fontsize=FONT_SIZE, color=INK)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        row[0].set_ylabel("accuracy of validation", fontsize=FONT_SIZE, color=INK)
    add_legend(figure, {way: color for way, color in COLORS.items() if any(way in ways for ways in found.values())})
    return figure
