"""Speed, memory and start of this command line against plain PyTorch, on MNIST: measures, and prints a table.

    python -m benchmarks.throughput --root data

Everything runs in a process of its own, one after the other, on one thread. Training is configs/vae/mnist.yaml with all
its callbacks and loggers (Weights & Biases offline) against benchmarks/hand_loop.py, the same training written by hand.
Its validation is not timed, and neither is the first epoch. GAN training is that of configs/gan/mnist.yaml against
benchmarks/gan_hand_loop.py likewise, without validation and in epochs of 100 batches, and training on text that of
configs/language_model/python_docs.yaml against benchmarks/text_hand_loop.py.

Transfer has a table of its own, of two trainings of this command line on scikit-learn's digits: of a new layer on the
kept features of a network, and of the whole network. Networks are the shipped classifier, and a ResNet of torchvision
with images of 64 pixels.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import sub, truediv
from statistics import median

from benchmarks.commands import ROOT, number

ROWS = ("training", "gan", "text", "transfer", "data", "start", "memory")
GAN_BATCHES, GAN_BATCH_SIZE = 100, 64
TEXT_BATCHES, TEXT_CONTEXT = 100, 64
RESNET = ["--model.init_args.backbone=resnet18", "--model.init_args.weights=null", "--model.init_args.image_size=64"]
BACKBONES = {"the shipped classifier": [], "resnet18": [*RESNET, "--model.init_args.margin=0"]}


@dataclass(frozen=True)
class Measured:
    """What a process achieved: samples a second, and its peak resident memory in MB."""

    rate: float
    memory: float


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured here and on the yardstick, pair by pair, and what is required."""

    name: str
    ours: Sequence[float]
    theirs: Sequence[float]
    compare: Callable[[float, float], float]
    required: str

    def __str__(self) -> str:
        compared = [self.compare(*pair) for pair in zip(self.ours, self.theirs, strict=False)]
        cells = (self.name, spread(self.ours), spread(self.theirs), spread(compared), self.required)
        return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure everything, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured")
    parser.add_argument("--epochs", type=int, default=2, help="timed epochs of each training")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, help="only these rows")
    arguments = parser.parse_args()
    root, epochs, only = os.path.abspath(arguments.root), arguments.epochs + 1, arguments.only
    measured: dict[str, list[tuple[Measured, Measured]]] = defaultdict(list)
    starts = []
    with tempfile.TemporaryDirectory() as runs:
        for _ in range(arguments.pairs):
            for name, (ours, theirs) in words_of(root, runs, epochs).items():
                if name in only or (name == "training" and "memory" in only):
                    measured[name].append((measure(*ours), measure(*theirs)))
            if "start" in only:
                starts.append(seconds_to_first_step(runs))
    steps, tokens = rates(measured["gan"], 1 / GAN_BATCH_SIZE), rates(measured["text"], TEXT_CONTEXT)
    rows = {
        "training": Row("training, samples/s", *rates(measured["training"]), truediv, "ratio at least 0.93"),
        "gan": Row("GAN training, generator steps/s", *steps, truediv, "ratio at least 0.9"),
        "text": Row("training on text, tokens/s", *tokens, truediv, "ratio at least 0.93"),
        "data": Row("data alone, images/s", *rates(measured["data"]), truediv, "ratio at least 12"),
        "start": Row("from the command to the first step done, s", starts, [], truediv, "under 10"),
        "memory": Row("peak memory, MB", *memories(measured["training"]), sub, "at most 300 more"),
    }
    chosen = [rows[name] for name in ROWS if name in only and name in rows]
    if chosen:
        print("| | Espalier | plain PyTorch | compared | required |\n|---|---|---|---|---|")
        print(*chosen, sep="\n")
    if "transfer" in only:
        print("\n| training, samples/s | of a new layer | of everything | compared | required |\n|---|---|---|---|---|")
        for name in BACKBONES:
            print(transfer(name, arguments.pairs, epochs))


def words_of(root: str, runs: str, epochs: int) -> dict[str, tuple[list[str], list[str]]]:
    """Words of the program that each row measures, and those of its yardstick."""
    gan = ["--trainer.limit_val_batches=0", f"--trainer.limit_train_batches={GAN_BATCHES}"]
    text = ["--trainer.limit_val_batches=0", f"--trainer.limit_train_batches={TEXT_BATCHES}"]
    data, here = f"--data.init_args.root={root}", [f"--root={root}", f"--epochs={epochs}"]
    loading = ["-m", "benchmarks.loading", f"--root={root}"]
    return {
        "training": (["cli.py", *fit("vae/mnist", runs, epochs), data], ["-m", "benchmarks.hand_loop", *here]),
        "gan": (
            ["cli.py", *fit("gan/mnist", runs, epochs), *gan, data],
            ["-m", "benchmarks.gan_hand_loop", *here, f"--batches={GAN_BATCHES}"],
        ),
        "text": (
            ["cli.py", *fit("language_model/python_docs", runs, epochs), *text],
            ["-m", "benchmarks.text_hand_loop", f"--epochs={epochs}", f"--batches={TEXT_BATCHES}"],
        ),
        "data": ([*loading, "--by=module"], [*loading, "--by=sample"]),
    }


def transfer(name: str, pairs: int, epochs: int) -> Row:
    """Measure the training of a new layer on kept features, and that of the whole network in turn."""
    rates_of: dict[str, list[float]] = {"frozen": [], "full": []}
    with tempfile.TemporaryDirectory() as runs:
        words = [*fit("transfer/digits", runs, epochs), *BACKBONES[name], "--trainer.limit_val_batches=0"]
        words += ["--data.init_args.train_per_class=null", "--data.init_args.batch_size=64"]
        for _ in range(pairs):
            for strategy, found in rates_of.items():
                found.append(measure("cli.py", *words, f"--unfreezing.strategy={strategy}").rate)
    return Row(name, rates_of["frozen"], rates_of["full"], truediv, "ratio at least 10")


def fit(config: str, runs: str, epochs: int) -> list[str]:
    """Words of the command that trains with a configuration, `<technique>/<data>`, and prints its times."""
    callback = "--trainer.callbacks+=benchmarks.stopwatch.Stopwatch"
    return ["fit", f"--config=configs/{config}.yaml", f"--run.dir={runs}", f"--trainer.max_epochs={epochs}", callback]


def measure(*words: str) -> Measured:
    """Run a Python program that prints lines `timed <samples> <seconds>`, the first of which is left out."""
    process = launch(words)
    assert process.stdout is not None
    timed = [line.split()[1:] for line in process.stdout if line.startswith("timed ")]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} failed")
    samples, seconds = (sum(map(float, column)) for column in zip(*timed[1:], strict=True))
    # in KiB on Linux, where a process begins with the peak of the one that forked it: this one has to stay small
    return Measured(samples / seconds, usage.ru_maxrss * 1024 / 1e6)


def seconds_to_first_step(runs: str) -> float:
    """Seconds from the start of `cli.py fit` on the digits to the end of the first training step."""
    start = time.time()
    with launch(["cli.py", *fit("vae/digits", runs, 1)]) as process:
        assert process.stdout is not None
        (first,) = [float(line.split()[1]) for line in process.stdout if line.startswith("first ")]
    return first - start


def launch(words: Sequence[str]) -> subprocess.Popen[str]:
    """Start a Python program on one thread, tracked offline."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def rates(pairs: Sequence[tuple[Measured, Measured]], scale: float = 1) -> tuple[list[float], list[float]]:
    """Samples a second of several programs and of their yardsticks, times a scale."""
    return [ours.rate * scale for ours, _ in pairs], [theirs.rate * scale for _, theirs in pairs]


def memories(pairs: Sequence[tuple[Measured, Measured]]) -> tuple[list[float], list[float]]:
    """Peak memory of several programs and of their yardsticks, in MB."""
    return [ours.memory for ours, _ in pairs], [theirs.memory for _, theirs in pairs]


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest of some values; nothing if there are none."""
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})" if values else ""


if __name__ == "__main__":
    main()
