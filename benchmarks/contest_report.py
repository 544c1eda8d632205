"""The tables of `benchmarks.attention_vs_recurrence`, what they say in words, and the folder of its pictures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks.commands import average, number
from benchmarks.contest_results import Outcome, Result
from benchmarks.contests import NETWORKS, Trial
from benchmarks.recurrence_pictures import Bins, Panel, draw_bins, draw_gradients, draw_speeds
from benchmarks.training_speed import BATCH_TOKENS
from callbacks.drawing import save_png

WIDTH = 4  # of a bin of distances or lengths
FIRST = {"recall": 0, "reverse": 1}  # where the bins begin
PLACES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)  # of gradients in the table
ORDERS = {"steps": "equal steps", "time": "equal time"}
STATES = ("untrained", "trained")
PLACES_OF = {
    "recall": "distance of question and answer, tokens",
    "reverse": "letters of the source",
    "translation": "words of the source",
}

Gradients = Mapping[str, Sequence[float]]  # of each network in each state, by distance
Speeds = Mapping[str, Mapping[str, float]]  # of each network, by length


@dataclass(frozen=True)
class Section:
    """What one picture shows.

    Attributes:
        file: of the picture.
        title: above its tables.
        panels: title to what is in a panel.
    """

    file: str
    title: str
    panels: Mapping[str, Panel]


def write_report(outcomes: Sequence[Outcome], missing: Sequence[str], speeds: Speeds, folder: Path) -> str:
    """Write `table.md` and the pictures into a folder, and return the tables.

    Args:
        outcomes: of all contests that are at their end.
        missing: titles of those that are not.
        speeds: network to length to tokens a second; may be empty.
        folder: to write into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = [f"Not at its end: {', '.join(missing)}."] if missing else []
    if outcomes:
        texts += [comparison(outcomes, order) for order in ORDERS] + [choices(outcomes)]
    for section in sections(outcomes):
        texts.append(bin_tables(section))
        save_png(draw_bins(section.panels), folder / section.file)
    for outcome in outcomes:
        if outcome.contest.task == "language":
            curves = gradients(outcome)
            texts.append(gradient_table(curves))
            save_png(draw_gradients(curves), folder / "gradients.png")
    if speeds:
        texts.append(speed_table(speeds))
        save_png(draw_speeds(speeds), folder / "speeds.png")
    text = "\n\n".join(texts)
    (folder / "table.md").write_text(text + "\n")
    return text


def comparison(outcomes: Sequence[Outcome], order: str) -> str:
    """The table of equal `steps` or equal `time`, and a sentence about each contest."""
    header = ["task", "score", "network", "test", "parameters", "learning rate", "steps", "CPU s", "seeds"]
    lines = [f"At {ORDERS[order]}:", "", *_header(header)]
    for outcome in outcomes:
        for network, found in getattr(outcome, order).items():
            trial = next(iter(found))
            results = found.values()
            cells = [outcome.contest.title, outcome.contest.score.name, network]
            cells += [average([result.score for result in results]), f"{_parameters(found):,}", f"{trial.rate:g}"]
            cells += [f"{trial.steps:,}", average([result.seconds for result in results]), str(len(found))]
            lines.append(_line(cells))
    return "\n".join([*lines, "", *(f"- {verdict(outcome, order)}" for outcome in outcomes)])


def _parameters(found: Mapping[Trial, Result]) -> int:
    return int(next(iter(found.values())).measured["parameters"])


def verdict(outcome: Outcome, order: str) -> str:
    """Which network was better, and by how much, in a sentence."""
    score = outcome.contest.score
    begin = f"{outcome.contest.title}, {ORDERS[order]}:"
    if order == "time" and outcome.time == outcome.steps:
        return f"{begin} the runs of equal steps, which took both about as long."
    scores = {
        network: [result.score for result in found.values()] for network, found in getattr(outcome, order).items()
    }
    means = {network: mean(values) for network, values in scores.items()}
    better, worse = sorted(means, key=means.__getitem__, reverse=score.higher_is_better)
    if means[better] == means[worse]:
        return f"{begin} no difference, both have {number(means[better])} ({score.name})."
    by = f"{number(abs(means[better] - means[worse]))} ({score.name}: {number(means[better])} against "
    text = f"{begin} **{better}** is better by {by}{number(means[worse])})"
    if min(map(len, scores.values())) < 2:
        return f"{text}; one seed, so what chance does is unknown."
    overlap = max(map(min, scores.values())) <= min(map(max, scores.values()))
    return f"{text}; the ranges over seeds {'overlap' if overlap else 'do not overlap'}."


def choices(outcomes: Sequence[Outcome]) -> str:
    """The validation of all learning rates, the chosen ones in bold, and which of these lie at the edge of the grid."""
    lines, edges = [], []
    most = max(len(values) for outcome in outcomes for values in outcome.choice.values())
    for outcome in outcomes:
        for network, values in outcome.choice.items():
            best = min(values, key=values.__getitem__)
            cells = [f"{rate:g}: {number(value)}" for rate, value in sorted(values.items())]
            place = sorted(values).index(best)
            cells[place] = f"**{cells[place]}**"
            lines.append(_line([outcome.contest.title, network, *cells, *[""] * (most - len(cells))]))
            if len(values) > 1 and best in (min(values), max(values)):
                edges.append(f"{outcome.contest.title} ({network}, the {'lowest' if place == 0 else 'highest'})")
    head = ["task", "network", *(f"rate {place}" for place in range(1, most + 1))]
    text = "Learning rates, each with the negative log-likelihood of the validation part in nats a token; first seed:"
    remark = ["", f"Best at the edge, so that a better rate may lie beyond: {', '.join(edges)}."] if edges else []
    return "\n".join([text, "", *_header(head), *lines, *remark])


def sections(outcomes: Sequence[Outcome]) -> list[Section]:
    """Scores by distance and length, of the runs of equal steps."""
    by_task: dict[str, dict[str, Panel]] = {}
    for outcome in outcomes:
        if found := bins(outcome):
            title = f"{outcome.contest.title}, {outcome.contest.score.name}"
            by_task.setdefault(outcome.contest.task, {})[title] = Panel(PLACES_OF[outcome.contest.task], found)
    recall = by_task.pop("recall", {})
    lengths = {title: found for panels in by_task.values() for title, found in panels.items()}
    every = [Section("distances.png", "By the distance of question and answer", recall)]
    every.append(Section("lengths.png", "By the length of the source", lengths))
    return [section for section in every if section.panels]


def bins(outcome: Outcome) -> Bins:
    """Network to first and last place of a bin to the scores of all seeds, of the runs of equal steps."""
    score = outcome.contest.score
    found: Bins = {}
    for network, runs in outcome.steps.items():
        mine = found.setdefault(network, {})
        for result in runs.values():
            if outcome.contest.task == "translation":
                shares = by_words(result.tested)
            else:
                tally = {int(place): counts for place, counts in result.measured.get("tally", {}).items()}
                shares = in_bins(tally, FIRST.get(outcome.contest.task, 0))
            for place, share in shares.items():
                mine.setdefault(place, []).append(score.factor * share)
    return {network: mine for network, mine in found.items() if mine}


def in_bins(tally: Mapping[int, Sequence[int]], first: int) -> dict[tuple[int, int | None], float]:
    """Share that is right in each bin of `WIDTH` places.

    Args:
        tally: place to how many were right, and how many there were.
        first: where the bins begin.
    """
    sums: dict[tuple[int, int | None], tuple[int, int]] = {}
    for place in sorted(tally):
        low = first + (place - first) // WIDTH * WIDTH
        right, there = sums.get((low, low + WIDTH - 1), (0, 0))
        sums[low, low + WIDTH - 1] = right + tally[place][0], there + tally[place][1]
    return {at: right / there for at, (right, there) in sums.items()}


def by_words(tested: Mapping[str, float]) -> dict[tuple[int, int | None], float]:
    """BLEU by the words of the source, from the metrics of a test."""
    found: dict[tuple[int, int | None], float] = {}
    for name, value in tested.items():
        if match := re.fullmatch(r"test/bleu_source_(\d+)_(\d+)", name):
            found[int(match[1]), int(match[2])] = value
        elif match := re.fullmatch(r"test/bleu_source_over_(\d+)", name):
            found[int(match[1]) + 1, None] = value
    return dict(sorted(found.items(), key=lambda item: item[0][0]))


def bin_tables(section: Section) -> str:
    """A table for each panel."""
    texts = [f"{section.title}, at equal steps:"]
    for title, (x_name, networks) in section.panels.items():
        lines = _header([f"{title}: {x_name}", *networks])
        for place in dict.fromkeys(place for found in networks.values() for place in found):
            low, high = place
            shown = f"{low} to {high}" if high is not None else f"{low} or more"
            cells = [average(found[place]) if place in found else "" for found in networks.values()]
            lines.append(_line([shown, *cells]))
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def gradients(outcome: Outcome) -> dict[str, list[float]]:
    """`<network>, <state>` to the norm by distance, mean over the seeds."""
    curves: dict[str, list[float]] = {}
    for state, results in zip(STATES, (outcome.untrained, outcome.steps), strict=True):
        for network, found in results.items():
            several = [result.measured["gradients"] for result in found.values()]
            curves[f"{network}, {state}"] = [mean(values) for values in zip(*several, strict=True)]
    return dict(sorted(curves.items(), key=lambda item: NETWORKS.index(item[0].partition(",")[0])))


def gradient_table(curves: Gradients) -> str:
    """The norms at some distances."""
    length = max(map(len, curves.values()))
    places = sorted({*(place for place in PLACES if place < length), length - 1})
    title = (
        "Norm of the gradient of the last negative log-likelihood of a window with respect to the embedding of the "
        "token so many places before the last, as a multiple of that of the last; mean over windows and seeds, equal "
        "steps:"
    )
    lines = [title, "", *_header(["network", *map(str, places)])]
    lines += [_line([name, *(f"{curve[place]:.1e}" for place in places)]) for name, curve in curves.items()]
    return "\n".join(lines)


def speed_table(speeds: Speeds) -> str:
    """Tokens a second by length, and how many times as fast the faster is."""
    lengths = list(next(iter(speeds.values())))
    head = ["tokens of a sequence", *speeds, "faster"]
    lines = [f"Training, tokens in a CPU second, {BATCH_TOKENS:,} tokens a batch:", "", *_header(head)]
    for length in lengths:
        rates = {network: by_length[length] for network, by_length in speeds.items()}
        first, second = sorted(rates, key=rates.__getitem__, reverse=True)
        cells = [f"{rate:,.0f}" for rate in rates.values()]
        ratio = rates[first] / rates[second]
        lines.append(_line([f"{int(length):,}", *cells, f"{first}, {ratio:.1f} times" if ratio >= 1.05 else "neither"]))
    return "\n".join(lines)


def _header(cells: Sequence[str]) -> list[str]:
    return [_line(cells), _line(["---"] * len(cells))]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
