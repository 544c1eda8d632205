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
    trained, by_hand, gan, gan_by_hand, text, text_by_hand, loaded, by_sample = ([] for _ in range(8))
    starts = []
    with tempfile.TemporaryDirectory() as runs:
        for _ in range(arguments.pairs):
            if "training" in only or "memory" in only:
                trained.append(measure("cli.py", *fit("vae/mnist", runs, epochs), f"--data.init_args.root={root}"))
                by_hand.append(measure("-m", "benchmarks.hand_loop", f"--root={root}", f"--epochs={epochs}"))
            if "gan" in only:
                part = ["--trainer.limit_val_batches=0", f"--trainer.limit_train_batches={GAN_BATCHES}"]
                gan.append(measure("cli.py", *fit("gan/mnist", runs, epochs), *part, f"--data.init_args.root={root}"))
                part = [f"--epochs={epochs}", f"--batches={GAN_BATCHES}"]
                gan_by_hand.append(measure("-m", "benchmarks.gan_hand_loop", f"--root={root}", *part))
            if "text" in only:
                part = ["--trainer.limit_val_batches=0", f"--trainer.limit_train_batches={TEXT_BATCHES}"]
                text.append(measure("cli.py", *fit("language_model/python_docs", runs, epochs), *part))
                part = [f"--epochs={epochs}", f"--batches={TEXT_BATCHES}"]
                text_by_hand.append(measure("-m", "benchmarks.text_hand_loop", *part))
            if "data" in only:
                loaded.append(measure("-m", "benchmarks.loading", f"--root={root}", "--by=module"))
                by_sample.append(measure("-m", "benchmarks.loading", f"--root={root}", "--by=sample"))
            if "start" in only:
                starts.append(seconds_to_first_step(runs))
    tokens, tokens_by_hand = ([rate * TEXT_CONTEXT for rate in rates(one)] for one in (text, text_by_hand))
    steps, steps_by_hand = ([rate / GAN_BATCH_SIZE for rate in rates(one)] for one in (gan, gan_by_hand))
    rows = {
        "training": Row("training, samples/s", rates(trained), rates(by_hand), truediv, "ratio at least 0.93"),
        "gan": Row("GAN training, generator steps/s", steps, steps_by_hand, truediv, "ratio at least 0.9"),
        "text": Row("training on text, tokens/s", tokens, tokens_by_hand, truediv, "ratio at least 0.93"),
        "data": Row("data alone, images/s", rates(loaded), rates(by_sample), truediv, "ratio at least 12"),
        "start": Row("from the command to the first step done, s", starts, [], truediv, "under 10"),
        "memory": Row("peak memory, MB", memories(trained), memories(by_hand), sub, "at most 300 more"),
    }
    chosen = [rows[name] for name in ROWS if name in only and name in rows]
    if chosen:
        print("| | Espalier | plain PyTorch | compared | required |\n|---|---|---|---|---|")
        print(*chosen, sep="\n")
    if "transfer" in only:
        print("\n| training, samples/s | of a new layer | of everything | compared | required |\n|---|---|---|---|---|")
        for name in BACKBONES:
            print(transfer(name, arguments.pairs, epochs))


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


def rates(measured: Sequence[Measured]) -> list[float]:
    """Samples a second of several processes."""
    return [one.rate for one in measured]


def memories(measured: Sequence[Measured]) -> list[float]:
    """Peak memory of several processes, in MB."""
    return [one.memory for one in measured]


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest of some values; nothing if there are none."""
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})" if values else ""


if __name__ == "__main__":
    main()
