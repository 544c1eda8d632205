"""What `benchmarks.attention_vs_recurrence` trains: tasks with two networks each, and the words of their commands."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.commands import ROOT
from benchmarks.stopwatch import FitSeconds

NETWORKS = ("transformer", "recurrent")
TASKS = ("recall", "language", "reverse", "translation")
LENGTHS = (32, 128, 256)  # tokens of a sequence of recall
QUICK_LENGTHS = LENGTHS[:2]
STEPS = {"recall": 2000, "language": 2000, "reverse": 3000, "translation": 1500}
QUICK_STEPS = {"recall": 600, "language": 200, "reverse": 400, "translation": 50}


@dataclass(frozen=True)
class Score:
    """What counts in a contest.

    Attributes:
        metric: of the test.
        name: in tables, with its unit.
        factor: by which it is multiplied there.
        higher_is_better: whether it is.
    """

    metric: str
    name: str
    factor: float = 1.0
    higher_is_better: bool = True


ACCURACY = Score("test/token_accuracy", "accuracy, %", 100)
BITS = Score("test/bits_per_character", "bits per character", higher_is_better=False)
EXACT = Score("test/exact_match", "exact match, %", 100)
BLEU = Score("test/bleu", "BLEU")


@dataclass(frozen=True)
class Contest:
    """A task on which a transformer and a recurrent network of like size meet.

    Attributes:
        name: of the contest; begins the names of its runs.
        task: one of `TASKS`.
        score: what counts.
        configs: configuration of each network, `<technique>/<data>`. Data and trainer are those of the transformer's.
        steps: of the optimizer.
        changes: what is changed in both, as words of a command.
    """

    name: str
    task: str
    score: Score
    configs: tuple[str, str]
    steps: int
    changes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As it is written in tables."""
        return self.name.replace("_", " ")

    def settings(self, network: str) -> dict[str, Any]:
        """The configuration of a network: its own model and limit of the gradient, all else as for the transformer."""
        shared, own = (load(name) for name in (self.configs[0], self.configs[NETWORKS.index(network)]))
        shared["model"] = own["model"]
        shared["trainer"]["gradient_clip_val"] = own["trainer"].get("gradient_clip_val")
        return shared

    def rates(self, network: str, factors: Sequence[float]) -> list[float]:
        """Learning rates to choose from: multiples of the configuration's own."""
        own = float(self.settings(network)["model"]["init_args"]["optimizer"]["init_args"]["lr"])
        return [factor * own for factor in factors]


def load(name: str) -> dict[str, Any]:
    """Read a shipped configuration, `<technique>/<data>`."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
    return settings


def contests(arguments: argparse.Namespace) -> list[Contest]:
    """All that are asked for; translation needs its data."""
    steps = QUICK_STEPS if arguments.quick else STEPS
    if arguments.steps is not None:
        steps = dict.fromkeys(TASKS, arguments.steps)
    every = [
        Contest(
            f"recall_{length}",
            "recall",
            ACCURACY,
            ("language_model/recall", "language_model/recall_lstm"),
            steps["recall"],
            (f"--data.init_args.length={length}",),
        )
        for length in (QUICK_LENGTHS if arguments.quick else LENGTHS)
    ]
    every.append(
        Contest(
            "language",
            "language",
            BITS,
            ("language_model/python_docs", "language_model/shakespeare_lstm"),
            steps["language"],
        )
    )
    strings = ("--data=RandomStrings", "--data.init_args.min_length=1", "--data.init_args.max_length=24")
    configs = ("seq2seq/number_words", "seq2seq/number_words_lstm")
    every.append(Contest("reverse", "reverse", EXACT, configs, steps["reverse"], strings))
    if arguments.root is not None:
        # one schedule that ends with the run, and the weights of the last step for both
        words = ("--model.init_args.scheduler=WarmupCosine", "--averaging.last=0")
        configs = ("seq2seq/multi30k_de_en", "seq2seq/multi30k_de_en_lstm")
        changes = (f"--data.init_args.root={arguments.root}", *words)
        every.append(Contest("translation", "translation", BLEU, configs, steps["translation"], changes))
    return [contest for contest in every if contest.task in arguments.tasks]


@dataclass(frozen=True)
class Trial:
    """One training; with a learning rate of 0 the network stays as it was drawn."""

    contest: Contest
    network: str
    rate: float
    steps: int
    seed: int

    def folder(self, arguments: argparse.Namespace) -> Path:
        """Its run."""
        name = f"{self.contest.name}-{self.network}-{self.rate:g}-{self.steps}-{self.seed}"
        return experiment(arguments) / (f"quick-{name}" if arguments.quick else name)

    def words(self, arguments: argparse.Namespace) -> list[str]:
        """Words behind `cli.py fit`."""
        return [
            f"--config={configuration(self.contest, self.network, arguments)}",
            *self.contest.changes,
            f"--seed_everything={self.seed}",
            f"--model.init_args.optimizer.init_args.lr={self.rate:g}",
            f"--trainer.max_steps={self.steps}",
            "--trainer.max_epochs=-1",
            "--trainer.limit_val_batches=0",
            "--trainer.accelerator=cpu",
            f"--trainer.callbacks+={FitSeconds.__module__}.{FitSeconds.__name__}",
        ]


def experiment(arguments: argparse.Namespace) -> Path:
    """The folder of all runs."""
    dir: Path = arguments.dir
    return dir / ("benchmark-attention-vs-recurrence" + ("-quick" if arguments.quick else ""))


def configuration(contest: Contest, network: str, arguments: argparse.Namespace) -> Path:
    """The file of a network's configuration."""
    return experiment(arguments) / f"{contest.name}-{network}.yaml"


def write_configurations(contest: Contest, arguments: argparse.Namespace) -> None:
    """Write the configurations of both networks."""
    experiment(arguments).mkdir(parents=True, exist_ok=True)
    for network in NETWORKS:
        text = yaml.safe_dump(contest.settings(network), sort_keys=False)
        configuration(contest, network, arguments).write_text(text)
