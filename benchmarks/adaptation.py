"""Unsupervised domain adaptation of digits: every technique on three pairs of domains at equal steps, in one table.

    python -m benchmarks.adaptation --root data --photos BSDS500

For each pair, technique and seed one run is trained with configs/<technique>/mnist.yaml, all with the same number of
steps and of examples of each domain in a step, and validated equally often. What is tested is the checkpoint that the
label-free score of the configuration chose. The rows `source_only` and `target_only` are a classifier trained on the
source's labels alone and one trained on the target's.

The gap closed is (a - s) / (t - s), where a is the accuracy of a technique and s and t are those of the two rows,
means over the seeds. `selected`, `last` and `oracle` are accuracies on the target's validation images: of the chosen
epoch, of the last one, and of that which the target's labels would have chosen. A technique whose mean accuracy is
below that of the source alone is named under the table: its adaptation did harm.

With `--augment source target` the training images of both domains are turned, shifted, scaled and sheared, in every row
alike; with one of the names, those of that domain.

A run that has been tested is read, not trained again; one that was interrupted is continued. `--report` only reads. The
table is also written beside the runs.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmarks.commands import ROOT, average, results, train_and_test

DOMAINS = ("source", "target")
SOURCE_ONLY, TARGET_ONLY = "source_only", "target_only"
TECHNIQUES = (SOURCE_ONLY, "dann", "dan", "deep_coral", "cdan", "mcd", "drcn", "dsn", TARGET_ONLY)
PAIRS = {"mnist-mnistm": ("MNIST", "MNISTM"), "mnist-usps": ("MNIST", "USPS"), "usps-mnist": ("USPS", "MNIST")}
SELECTIONS = {"selected": "selected_accuracy", "last": "last_accuracy", "oracle": "best_accuracy"}
AFFINE = {
    "class_path": "torchvision.transforms.v2.RandomAffine",
    "init_args": {
        "degrees": [-15, 15],
        "translate": [0.1, 0.1],
        "scale": [0.7, 1.3],
        "shear": [-10, 10],
        "interpolation": "bilinear",
    },
}
QUICK = {"pairs": ["mnist-usps"], "seeds": [0], "steps": 100, "validations": 2}


class Row(NamedTuple):
    """One run."""

    pair: str
    technique: str
    seed: int


Found = Mapping[Row, Mapping[str, float]]


def main(words: list[str] | None = None) -> None:
    """Run what is missing, and write and print the table."""
    arguments = parse(words)
    rows = [
        Row(pair, technique, seed)
        for pair in arguments.pairs
        for seed in arguments.seeds
        for technique in arguments.techniques
    ]
    if not arguments.report:
        for number, row in enumerate(rows, start=1):
            run = folder(row, arguments)
            if not (run / "test.json").exists():
                train_and_test(run, *changes(row, arguments), here=True, best=True)
                print(f"{number}/{len(rows)} {run.name}", flush=True)
    found = {row: results(run) for row in rows if ((run := folder(row, arguments)) / "test.json").exists()}
    text = table(found, arguments)
    experiment(arguments).mkdir(parents=True, exist_ok=True)
    (experiment(arguments) / "table.md").write_text(text + "\n")
    print(text)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST and USPS, or where they are downloaded")
    parser.add_argument("--photos", default="data/BSDS500", help="folder of photographs, for MNIST-M")
    parser.add_argument("--dir", default="runs", type=Path, help="folder of the runs")
    parser.add_argument("--techniques", nargs="+", choices=TECHNIQUES, default=list(TECHNIQUES))
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=10_000, help="of training, for every technique")
    parser.add_argument("--validations", type=int, default=10, help="in each run, evenly spaced")
    parser.add_argument("--augment", nargs="+", choices=DOMAINS, help="turn, shift, scale and shear their images")
    parser.add_argument("--report", action="store_true", help="run nothing, show what there is")
    parser.add_argument("--quick", action="store_true", help=f"one pair and seed, {QUICK['steps']} steps")
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(QUICK)
    if arguments.validations < 1:
        parser.error(f"--validations is {arguments.validations}: give 1 or more")
    if arguments.steps < 1 or arguments.steps % arguments.validations:
        parser.error(f"--steps is {arguments.steps}: give a multiple of --validations, {arguments.validations}")
    return arguments


def experiment(arguments: argparse.Namespace) -> Path:
    """The folder of runs of one length."""
    dir: Path = arguments.dir
    name = f"benchmark-adaptation-{arguments.steps}-{arguments.validations}"
    return dir / "-".join([name, *(["augmented", *_augmented(arguments)] if arguments.augment else [])])


def folder(row: Row, arguments: argparse.Namespace) -> Path:
    """The run of a row."""
    return experiment(arguments) / f"{row.pair}-{row.technique}-{row.seed}"


def changes(row: Row, arguments: argparse.Namespace) -> list[str]:
    """The configuration, and what a row changes in it."""
    words = [f"--config={ROOT / 'configs' / row.technique / 'mnist.yaml'}", f"--seed_everything={row.seed}"]
    for domain, name in zip(DOMAINS, PAIRS[row.pair], strict=True):
        key = f"--data.init_args.{domain}"
        words += [f"{key}={name}", f"{key}.init_args.root={arguments.root}"]
        words += [f"{key}.init_args.photos={arguments.photos}"] if name == "MNISTM" else []
        words += [f"{key}.init_args.image_size=28"] if name == "USPS" else []
        words += [f"{key}.init_args.augmentation={json.dumps([AFFINE])}"] if domain in _augmented(arguments) else []
    # epochs of equal length, whatever the sizes of the domains, with a validation after each
    return [
        *words,
        f"--trainer.max_epochs={arguments.validations}",
        f"--trainer.limit_train_batches={arguments.steps // arguments.validations}",
        "--trainer.check_val_every_n_epoch=1",
        "--trainer.log_every_n_steps=50",
        f"--pictures.every_n_epochs={arguments.validations}",
    ]


def table(found: Found, arguments: argparse.Namespace) -> str:
    """Format the results as a Markdown table for each pair, with a line for each technique that did harm."""
    texts = []
    for pair in arguments.pairs:
        rows = {name: _of(found, pair, name) for name in arguments.techniques}
        accuracies = {name: [one["test/target_accuracy"] for one in runs] for name, runs in rows.items() if runs}
        source, target = (accuracies.get(name) for name in (SOURCE_ONLY, TARGET_ONLY))
        lines = [
            f"| {pair} | seeds | target accuracy, % | gap closed | selected | last | oracle | seconds |",
            "|---" * 8 + "|",
        ]
        for name, values in accuracies.items():
            between = [average([one[f"oracle/{key}"] for one in rows[name]], _percent) for key in SELECTIONS.values()]
            cells = [str(len(values)), average(values, _percent), gap_closed(values, source, target), *between]
            lines.append(f"| {name} | {' | '.join(cells)} | {average([one['seconds'] for one in rows[name]])} |")
        texts.append("\n".join(lines))
        texts += [
            f"**{name} did harm on {pair}**: {mean(values):.1%}, and the source alone {mean(source):.1%}."
            for name, values in accuracies.items()
            if source and name != SOURCE_ONLY and mean(values) < mean(source)
        ]
    augmented = _augmented(arguments)
    images = f"images of the {' and the '.join(augmented)} augmented" if augmented else "images as they are"
    lengths = f"{arguments.steps:,} steps, {arguments.validations} validations in each run"
    texts.append(f"{lengths}; {images}.")
    return "\n\n".join(texts)


def gap_closed(values: list[float], source: list[float] | None, target: list[float] | None) -> str:
    """Share of the way from training on the source to training on the target; nothing where one of them is missing."""
    if not source or not target or mean(target) == mean(source):
        return ""
    return f"{(mean(values) - mean(source)) / (mean(target) - mean(source)):.0%}"


def _of(found: Found, pair: str, technique: str) -> list[Mapping[str, float]]:
    return [result for row, result in found.items() if (row.pair, row.technique) == (pair, technique)]


def _augmented(arguments: argparse.Namespace) -> list[str]:
    return [domain for domain in DOMAINS if domain in (arguments.augment or [])]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
