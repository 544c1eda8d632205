"""What the weights of MNIST's classifier are worth on other digits: ways of training by number of labels and domain.

    python -m benchmarks.transfer --root data --photos data/BSDS500

For each domain, number of labels, seed and way one run is trained with configs/transfer/usps.yaml, all with the same
network, images, labels, learning rate and epochs, and its last step is tested on the whole test part. USPS is similar
to what the weights have seen, MNIST-M, digits on photographs in grey, is not.

- `scratch`: random weights;
- `feature_extraction`: the new layer alone, on frozen features;
- `last_blocks`: the highest two of four blocks as well;
- `full`: everything, the lower the slower;
- `probe_then_finetune`: the new layer alone for a quarter of the epochs, then as `full`.

With `--equal-rates` all blocks have the learning rate of the new layer instead.

The tables give the accuracy of the test, the CPU seconds of `fit` without the loading of data, the epochs until the
accuracy on 1,000 validation images was 95 % of the best that any way had with the same labels (and how many runs came
so far, if not all), and the number of parameters that were trained. A way whose mean accuracy is below that from
scratch is named: there the transfer did harm. The seed is also that of the labels' draw.

A run that has been tested is read, not trained again; one that was interrupted is continued. `--report` only reads. The
tables and the pictures are also written beside the runs.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import product
from math import ceil
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch

from benchmarks.commands import ROOT, average, results, train_and_test
from benchmarks.pretraining_report import read_metrics
from benchmarks.stopwatch import FitSeconds
from benchmarks.transfer_pictures import draw_accuracies, draw_learning
from callbacks.drawing import save_png

SCRATCH = "scratch"
WAYS = (SCRATCH, "feature_extraction", "last_blocks", "full", "probe_then_finetune")
DOMAINS = {"usps": "USPS", "mnistm": "MNISTM"}
CLASSES = 10
CLOSE = 0.95  # of the best accuracy
_EQUAL_RATES = ["--model.init_args.backbone_rate=1", "--model.init_args.layer_decay=1"]
QUICK = {"seeds": [0], "labels": [10], "epochs": 40}


class Row(NamedTuple):
    """One run; `labels` are those of each class."""

    domain: str
    labels: int
    way: str
    seed: int


class Run(NamedTuple):
    """What a run has found: accuracies in [0, 1], those of validation after each epoch."""

    accuracy: float
    seconds: float
    parameters: int
    validations: Sequence[float]


Found = Mapping[Row, Run]


def main(words: list[str] | None = None) -> None:
    """Run what is missing, and write and print the tables."""
    arguments = parse(words)
    choices = (arguments.domains, arguments.seeds, arguments.labels, arguments.ways)
    rows = [Row(domain, labels, way, seed) for domain, seed, labels, way in product(*choices)]
    if not arguments.report:
        for number, row in enumerate(rows, start=1):
            run = folder(row, arguments)
            if not (run / "test.json").exists():
                train_and_test(run, *changes(row, arguments), here=True)
                print(f"{number}/{len(rows)} {run.name}", flush=True)
    found = {row: read(run) for row in rows if ((run := folder(row, arguments)) / "test.json").exists()}
    text = tables(found, arguments)
    kept = experiment(arguments)
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "table.md").write_text(text + "\n")
    if found:
        save_png(draw_accuracies(accuracies(found)), kept / "accuracies.png")
        save_png(draw_learning(learning(found)), kept / "learning.png")
    print(text)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST and USPS, or where they are downloaded")
    parser.add_argument("--photos", default="data/BSDS500", help="folder of photographs, for MNIST-M")
    parser.add_argument("--dir", default="runs", type=Path, help="folder of the runs")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--labels", nargs="+", type=int, default=[1, 10, 100], help="of each class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60, help="of training, for every way")
    parser.add_argument("--equal-rates", action="store_true", help="no slower learning below the new layer")
    parser.add_argument("--report", action="store_true", help="run nothing, show what there is")
    parser.add_argument("--quick", action="store_true", help="one seed, ten labels a class, fewer epochs")
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(QUICK)
    if arguments.epochs < 4:
        parser.error(f"--epochs is {arguments.epochs}: give 4 or more, of which a quarter is the probe's")
    if min(arguments.labels) < 1:
        parser.error(f"--labels is {' '.join(map(str, arguments.labels))}: give 1 or more of each class")
    return arguments


def experiment(arguments: argparse.Namespace) -> Path:
    """The folder of runs of one length and kind."""
    dir: Path = arguments.dir
    return dir / f"benchmark-transfer-{arguments.epochs}{'-equal-rates' if arguments.equal_rates else ''}"


def folder(row: Row, arguments: argparse.Namespace) -> Path:
    """The run of a row."""
    return experiment(arguments) / f"{row.domain}-{row.labels}-{row.way}-{row.seed}"


def changes(row: Row, arguments: argparse.Namespace) -> list[str]:
    """The configuration, and what a row changes in it."""
    words = [f"--config={ROOT / 'configs' / 'transfer' / 'usps.yaml'}", f"--seed_everything={row.seed}"]
    words += [f"--data={DOMAINS[row.domain]}", f"--data.init_args.root={arguments.root}"]
    if row.domain == "mnistm":  # what fills the frame in USPS has its margin there, and MNIST's classifier knows grey
        words += [f"--data.init_args.photos={arguments.photos}", "--data.init_args.grayscale=true"]
        words += [f"--data.init_args.cache={experiment(arguments)}", "--model.init_args.margin=0"]
    return [
        *words,
        f"--data.init_args.train_per_class={row.labels}",
        f"--data.init_args.split_seed={row.seed}",
        f"--data.init_args.batch_size={batch_size(row.labels)}",
        *_of_way(row.way, arguments.epochs),
        *(_EQUAL_RATES if arguments.equal_rates or row.way == SCRATCH else []),
        f"--trainer.max_epochs={arguments.epochs}",
        "--trainer.limit_val_batches=1",
        "--trainer.accelerator=cpu",
        f"--trainer.log_every_n_steps={batches(row.labels)}",
        f"--trainer.callbacks+={FitSeconds.__module__}.{FitSeconds.__name__}",
        "--pictures.every_n_epochs=1000000",
    ]


def _of_way(way: str, epochs: int) -> list[str]:
    strategies = {
        SCRATCH: ["full"],
        "feature_extraction": ["frozen"],
        "last_blocks": ["last_blocks", "--unfreezing.blocks=2"],
        "full": ["full"],
        "probe_then_finetune": ["linear_probe_then_finetune", f"--unfreezing.probe_epochs={epochs // 4}"],
    }
    strategy, *more = strategies[way]
    words = ["--unfreezing.probe_epochs=null", f"--unfreezing.strategy={strategy}", *more]
    if way == SCRATCH:  # the same network and no weights
        made = json.loads((ROOT / "networks" / "weights" / "mnist_classifier.json").read_text())["network"]
        network = {"class_path": "ConvClassifier", "init_args": made}
        words += ["--model.init_args.weights=null", f"--model.init_args.backbone={json.dumps(network)}"]
        words += ["--model.init_args.image_size=28"]
    return words


def batch_size(labels: int) -> int:
    """Images of a batch: a tenth of all labelled ones, between 10 and 50."""
    return min(50, max(10, labels * CLASSES // 10))


def batches(labels: int) -> int:
    """Batches of an epoch."""
    return ceil(labels * CLASSES / batch_size(labels))


def read(run: Path) -> Run:
    """What a tested run has found."""
    seconds = json.loads((run / FitSeconds.FILE).read_text())["seconds"]
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    # the optimizer has a state for those parameters only that it has moved
    moved = [state["exp_avg"].numel() for state in saved["optimizer_states"][0]["state"].values()]
    _, validations = read_metrics(run / "metrics.csv")["val/accuracy"]
    return Run(results(run)["test/accuracy"], seconds, sum(moved), validations)


def tables(found: Found, arguments: argparse.Namespace) -> str:
    """Format the results as a Markdown table for each domain, with a line for each way that did harm."""
    texts = []
    for domain in arguments.domains:
        head = [domain, "labels a class", "seeds", "accuracy, %", "CPU s", f"epochs to {CLOSE:.0%} of best"]
        lines = [_line([*head, "parameters trained"]), _line(["---"] * (len(head) + 1))]
        harm = []
        for labels, way in product(arguments.labels, arguments.ways):
            runs = _runs(found, domain, labels, way)
            if not runs:
                continue
            values = [run.accuracy for run in runs.values()]
            seconds = average([run.seconds for run in runs.values()])
            cells = [way, str(labels), str(len(runs)), average(values, lambda share: f"{100 * share:.1f}"), seconds]
            parameters = f"{max(run.parameters for run in runs.values()):,}"
            lines.append(_line([*cells, _epochs(found, runs), parameters]))
            scratch = [run.accuracy for run in _runs(found, domain, labels, SCRATCH).values()]
            if scratch and mean(values) < mean(scratch):
                both = f"{mean(values):.1%}, and from scratch {mean(scratch):.1%}"
                harm.append(f"**{way} did harm on {domain} with {labels} labels a class**: {both}.")
        texts += ["\n".join(lines), *harm]
    rates = "; one learning rate for all blocks" if arguments.equal_rates else ""
    texts.append(f"{arguments.epochs} epochs in each run{rates}.")
    return "\n\n".join(texts)


def epochs_to(validations: Sequence[float], accuracy: float) -> int | None:
    """Epochs until a validation was as good; None if none was."""
    return next((epoch for epoch, value in enumerate(validations, start=1) if value >= accuracy), None)


def _epochs(found: Found, runs: Found) -> str:
    """Mean and range over the runs that came close to the best with their labels, and how many did if not all."""
    best = {
        row: max(max(run.validations) for other, run in found.items() if other._replace(way=row.way) == row)
        for row in runs
    }
    counts = [epochs_to(run.validations, CLOSE * best[row]) for row, run in runs.items()]
    close = [count for count in counts if count is not None]
    if not close:
        return "never"
    return average(close) + (f", {len(close)} of {len(counts)}" if len(close) < len(counts) else "")


def accuracies(found: Found) -> dict[str, dict[str, dict[int, list[float]]]]:
    """Domain to way to labels a class to the accuracies of all seeds."""
    all_of: dict[str, dict[str, dict[int, list[float]]]] = {}
    for row, run in found.items():
        all_of.setdefault(row.domain, {}).setdefault(row.way, {}).setdefault(row.labels, []).append(run.accuracy)
    return all_of


def learning(found: Found) -> dict[tuple[str, int], dict[str, list[float]]]:
    """Domain and labels a class to way to the accuracy of validation after each epoch, mean over the seeds."""
    curves: dict[tuple[str, int], dict[str, list[Sequence[float]]]] = {}
    for row, run in found.items():
        curves.setdefault((row.domain, row.labels), {}).setdefault(row.way, []).append(run.validations)
    return {
        panel: {way: [mean(values) for values in zip(*runs, strict=False)] for way, runs in ways.items()}
        for panel, ways in curves.items()
    }


def _runs(found: Found, domain: str, labels: int, way: str) -> dict[Row, Run]:
    return {row: run for row, run in found.items() if row[:3] == (domain, labels, way)}


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
