"""Transformers against recurrent networks of like size, at equal steps and at equal time, and how far back both reach.

    python -m benchmarks.attention_vs_recurrence --root data/multi30k

Each task has two shipped configurations whose networks have about the same number of parameters:

- `recall`: associative recall, in sequences of 32, 128 and 256 tokens, with fillers between pairs and questions;
- `language`: the characters of Python's documentation;
- `reverse`: strings of 1 to 24 letters, turned around; both networks read the whole string before they write;
- `translation`: German into English, of Multi30k; only where `--root` is given.

Both networks of a task have the same data and batches; model, optimizer and the limit of the gradient are those of
their own configurations, for `language` those of shakespeare_lstm.yaml. For each network the learning rate is chosen by
the likelihood of the validation part, from multiples (`--rates`) of the configuration's own, after equal steps with the
first seed. With the chosen rates both are trained with every seed; that is the comparison at equal steps. Then the one
that took fewer CPU seconds is trained anew with as many steps as fit into those of the other, counted in twentieths of
the steps; that is the comparison at equal time. A schedule ends with its run. What is tested is the last step. Other
work on the same machine would distort the seconds.

The tables give the score of the test, the number of parameters, the learning rate, the steps, the CPU seconds of `fit`
on one thread without the loading of data, and of what varies with the seed the mean and the lowest and highest. Four
more are pictures too: accuracy of recall by the distance of question and answer, exact match of reversed strings (and
BLEU of translations) by the length of the source, the gradient of a prediction with respect to the tokens before it,
and the tokens that training takes in a second by the length of its sequences.

A run that has been tested is read, not trained again; one that was interrupted is continued. `--report` only reads. The
tables, the pictures and the configurations are written beside the runs.
"""

import argparse
import json
from pathlib import Path

from benchmarks import commands
from benchmarks.commands import place, train
from benchmarks.contest_report import write_report
from benchmarks.contest_results import (
    DIVERGED,
    MEASURED,
    all_of,
    at_equal_steps,
    at_equal_time,
    candidates,
    outcome,
    untrained,
    validated,
)
from benchmarks.contests import NETWORKS, TASKS, Contest, Trial, contests, experiment, write_configurations
from benchmarks.distances import measured
from benchmarks.training_speed import SPEEDS, write_speeds

QUICK = {"seeds": [0], "rates": [1.0, 2.0]}


def main(words: list[str] | None = None) -> None:
    """Run what is missing, write the tables and pictures, and print the tables."""
    arguments = parse(words)
    asked = contests(arguments)
    folder = experiment(arguments)
    if not arguments.report:
        for contest in asked:
            write_configurations(contest, arguments)
            compete(contest, arguments)
            if contest.task == "language" and not (folder / SPEEDS).exists():
                write_speeds(contest, folder / SPEEDS)
    outcomes = [outcome(contest, arguments) for contest in asked]
    missing = [contest.title for contest, found in zip(asked, outcomes, strict=True) if found is None]
    speeds = json.loads((folder / SPEEDS).read_text()) if (folder / SPEEDS).exists() else {}
    print(write_report([found for found in outcomes if found is not None], missing, speeds, folder))


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder that holds Multi30k; without it there is no translation")
    parser.add_argument("--dir", default="runs", type=Path, help="folder of the runs")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="only these")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rates", nargs="+", type=float, default=[0.5, 1.0, 2.0], help="multiples to choose from")
    parser.add_argument("--steps", type=int, help="of every training, instead of each task's own")
    parser.add_argument("--report", action="store_true", help="run nothing, show what there is")
    parser.add_argument("--quick", action="store_true", help="one seed, two rates, fewer steps, shorter sequences")
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(QUICK)
    if min(arguments.rates) <= 0:
        parser.error(f"--rates is {' '.join(map(str, arguments.rates))}: give multiples above 0")
    if arguments.steps is not None and arguments.steps < 1:
        parser.error(f"--steps is {arguments.steps}: give 1 or more")
    if arguments.tasks is None:
        arguments.tasks = [task for task in TASKS if task != "translation" or arguments.root is not None]
    elif "translation" in arguments.tasks and arguments.root is None:
        parser.error("--tasks has translation: give --root, the folder that holds Multi30k")
    return arguments


def compete(contest: Contest, arguments: argparse.Namespace) -> None:
    """Choose the learning rates, then train and test both networks, at equal steps and at equal time."""
    for network in NETWORKS:
        for trial in candidates(contest, network, arguments):
            validate(trial, arguments)
    steps = at_equal_steps(contest, arguments)
    assert steps is not None
    for trial in all_of(steps, untrained(contest, arguments)):
        test(trial, arguments)
    time = at_equal_time(steps, arguments)
    assert time is not None
    for trial in all_of(time):
        test(trial, arguments)


def validate(trial: Trial, arguments: argparse.Namespace) -> None:
    """Train, and evaluate on the validation part; a run that diverges is one that is not chosen."""
    run = trial.folder(arguments)
    if validated(run) is not None:
        return
    try:
        train(run, *trial.words(arguments), here=True)
    except SystemExit:
        if not (run / DIVERGED).exists():
            raise
    else:
        commands.run_here("validate", *place(run), *_last(run), "--trainer.limit_val_batches=1.0")
    print(f"{run.name} is validated", flush=True)


def test(trial: Trial, arguments: argparse.Namespace) -> None:
    """Train, test and measure."""
    run = trial.folder(arguments)
    if (run / MEASURED).exists():
        return
    train(run, *trial.words(arguments), here=True)
    tested = commands.run_here("test", *place(run), *_last(run))
    (run / MEASURED).write_text(json.dumps(measured(trial.contest.task, tested.model, tested.datamodule)) + "\n")
    print(f"{run.name} is tested", flush=True)


def _last(run: Path) -> list[str]:
    return [f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"]


if __name__ == "__main__":
    main()
