"""What the runs of `benchmarks.attention_vs_recurrence` have found, and which runs follow from it."""

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.contests import NETWORKS, Contest, Trial
from benchmarks.stopwatch import FitSeconds

MEASURED = "measured.json"  # the last file of a run: one that has it is not made again
DIVERGED = "diverged.pt"  # what a run leaves whose loss was no number
PARTS = 20  # of the steps, in which those of equal time are counted

Trials = dict[str, list[Trial]]  # of each network


@dataclass(frozen=True)
class Result:
    """What a run has found.

    Attributes:
        score: of its contest, as it is shown.
        seconds: of the CPU, in training.
        tested: all metrics of the test.
        measured: see `benchmarks.distances.measured`.
    """

    score: float
    seconds: float
    tested: Mapping[str, float]
    measured: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """All of one contest.

    Attributes:
        contest: which.
        choice: network to learning rate to the negative log-likelihood of the validation part, in nats a token.
        steps: runs of equal steps.
        time: runs of equal CPU seconds.
        untrained: networks as they were drawn, if they were measured.
    """

    contest: Contest
    choice: Mapping[str, Mapping[float, float]]
    steps: Mapping[str, Mapping[Trial, Result]]
    time: Mapping[str, Mapping[Trial, Result]]
    untrained: Mapping[str, Mapping[Trial, Result]]


def candidates(contest: Contest, network: str, arguments: argparse.Namespace) -> list[Trial]:
    """The runs that the learning rate is chosen from: all rates, with the first seed."""
    seed = arguments.seeds[0]
    return [Trial(contest, network, rate, contest.steps, seed) for rate in contest.rates(network, arguments.rates)]


def validated(run: Path) -> float | None:
    """Negative log-likelihood of the validation part; infinite if the run diverged, None if it is not known yet."""
    if (run / DIVERGED).exists():
        return math.inf
    if not (run / "validate.json").exists():
        return None
    return float(json.loads((run / "validate.json").read_text())["val/nll"])


def choice(contest: Contest, arguments: argparse.Namespace) -> dict[str, dict[float, float]] | None:
    """Network to learning rate to validation; None while one is missing."""
    found: dict[str, dict[float, float]] = {}
    for network in NETWORKS:
        for trial in candidates(contest, network, arguments):
            value = validated(trial.folder(arguments))
            if value is None:
                return None
            found.setdefault(network, {})[trial.rate] = value
    return found


def at_equal_steps(contest: Contest, arguments: argparse.Namespace) -> Trials | None:
    """Runs of each network with the rate that is best for it; None while that is not known.

    Raises:
        ValueError: if a network diverged with all rates.
    """
    found = choice(contest, arguments)
    if found is None:
        return None
    trials: Trials = {}
    for network, values in found.items():
        rate = min(values, key=values.__getitem__)
        if math.isinf(values[rate]):
            raise ValueError(f"{contest.title}, {network}: all rates diverged, give lower --rates")
        trials[network] = [Trial(contest, network, rate, contest.steps, seed) for seed in arguments.seeds]
    return trials


def at_equal_time(trials: Trials, arguments: argparse.Namespace) -> Trials | None:
    """The same with as many steps as take the CPU seconds of the slower network; None while these are not known."""
    folders = {network: [trial.folder(arguments) for trial in several] for network, several in trials.items()}
    if not all((run / FitSeconds.FILE).exists() for runs in folders.values() for run in runs):
        return None
    taken = {network: mean(seconds(run) for run in runs) for network, runs in folders.items()}
    longest = max(taken.values())
    return {
        network: [replace(trial, steps=longer(trial.steps, taken[network], longest)) for trial in several]
        for network, several in trials.items()
    }


def longer(steps: int, taken: float, allowed: float) -> int:
    """Steps for the seconds that are allowed, of a run whose steps took fewer; counted in twentieths of its steps."""
    part = max(1, steps // PARTS)
    return steps + part * round(steps * (allowed / taken - 1) / part)


def untrained(contest: Contest, arguments: argparse.Namespace) -> Trials:
    """Networks as they were drawn, in contests that measure their gradients."""
    seeds = arguments.seeds if contest.task == "language" else []
    return {network: [Trial(contest, network, 0.0, 1, seed) for seed in seeds] for network in NETWORKS}


def seconds(run: Path) -> float:
    """CPU seconds of a run's training."""
    return float(json.loads((run / FitSeconds.FILE).read_text())["seconds"])


def outcome(contest: Contest, arguments: argparse.Namespace) -> Outcome | None:
    """Read a contest; None if it is not at its end."""
    found, steps = choice(contest, arguments), at_equal_steps(contest, arguments)
    if found is None or steps is None:
        return None
    time = at_equal_time(steps, arguments)
    if time is None:
        return None
    first = untrained(contest, arguments)
    if not all((trial.folder(arguments) / MEASURED).exists() for trial in all_of(steps, time, first)):
        return None
    return Outcome(contest, found, *(_read(trials, arguments) for trials in (steps, time, first)))


def all_of(*several: Trials) -> list[Trial]:
    """All trials, each once."""
    return list(dict.fromkeys(trial for trials in several for of_one in trials.values() for trial in of_one))


def _read(trials: Trials, arguments: argparse.Namespace) -> dict[str, dict[Trial, Result]]:
    return {
        network: {trial: read(trial, trial.folder(arguments)) for trial in of_one} for network, of_one in trials.items()
    }


def read(trial: Trial, run: Path) -> Result:
    """What a tested run has found."""
    tested = json.loads((run / "test.json").read_text())
    score = trial.contest.score
    measured = json.loads((run / MEASURED).read_text())
    return Result(score.factor * tested[score.metric], seconds(run), tested, measured)
