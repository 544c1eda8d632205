"""What `benchmarks.pretraining` trains: its stacks and classifiers, their folders, and the words of their commands."""

import argparse
import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path

LAYERS = {
    "none": "AutoencoderLayer",
    "autoencoder": "AutoencoderLayer",
    "denoising": "DenoisingLayer",
    "sparse": "SparseLayer",
    "rbm": "BinaryRBM",
}
SIGMOID_ONLY = ("sparse", "rbm")
ACTIVATIONS = ("sigmoid", "relu")
UNITS = 256
BATCH_SIZE = 100
FEWEST_BATCHES = 10  # of an epoch: with few labels the batches are smaller
LOG_EVERY = 10  # steps
STEPS = {"100": 500, "1000": 1000, "10000": 2000, "all": 4000}
OPTIMIZERS = {
    "sgd": ("--model.init_args.optimizer=torch.optim.SGD", "--model.init_args.optimizer.init_args.momentum=0.9"),
    "adam": ("--model.init_args.optimizer=torch.optim.Adam",),
}
RATES = {("sigmoid", "sgd"): 0.1, ("relu", "sgd"): 0.01, ("sigmoid", "adam"): 0.001, ("relu", "adam"): 0.001}
_ADAM = ("--pretraining.optimizer=torch.optim.Adam", "--pretraining.learning_rate=0.001")
_SGD = (
    "--pretraining.optimizer=torch.optim.SGD",
    "--pretraining.optimizer.init_args.momentum=0.5",
    "--pretraining.learning_rate=0.1",
)


@dataclass(frozen=True)
class Stack:
    """Layers that are pretrained together; `none` are not."""

    kind: str
    activation: str
    seed: int

    def folder(self, arguments: argparse.Namespace) -> Path:
        """Its run of pretraining; settings that change it are part of its name."""
        layers = max(arguments.depths)
        name = f"stack-{self.kind}-{self.activation}-{layers}x{arguments.epochs}-{self.seed}"
        return experiment(arguments) / name

    def words(self, arguments: argparse.Namespace) -> list[str]:
        """What its pretraining adds to `cli.py fit`."""
        layers = max(arguments.depths)
        return [
            *common(self.seed, arguments),
            *self.model(layers),
            *(_SGD if self.kind == "rbm" else _ADAM),
            f"--pretraining.epochs={arguments.epochs}",
            f"--trainer.max_epochs={layers * arguments.epochs}",
            f"--data.init_args.batch_size={BATCH_SIZE}",
            "--trainer.log_every_n_steps=50",
        ]

    def model(self, depth: int) -> list[str]:
        """The words for its `depth` lowest layers."""
        layers = []
        for place in range(depth):
            settings: dict[str, str | int] = {"units": UNITS}
            if self.kind not in SIGMOID_ONLY:
                settings["activation"] = self.activation
                if self.activation != "sigmoid" and place > 0:
                    settings["reconstruction"] = "mse"  # of codes that no interval holds
            layers.append({"class_path": LAYERS[self.kind], "init_args": settings})
        return ["--model=StackedClassifier", f"--model.init_args.layers={json.dumps(layers)}"]


@dataclass(frozen=True)
class Cell:
    """A classifier: the lowest layers of a stack, and how many labels it has, a number or `all`."""

    stack: Stack
    depth: int
    budget: str

    def folder(self, arguments: argparse.Namespace) -> Path:
        """Its run; settings that change its numbers are part of its name."""
        stack, (rate, steps) = self.stack, self._settings(arguments)
        before = "" if stack.kind == "none" else f"-{max(arguments.depths)}x{arguments.epochs}"
        how = f"{arguments.optimizer}-{rate:g}-{steps}"
        name = f"{stack.kind}{before}-{stack.activation}-{self.depth}-{self.budget}-{how}-{stack.seed}"
        return experiment(arguments) / name

    def words(self, arguments: argparse.Namespace) -> list[str]:
        """What its training adds to `cli.py fit`."""
        rate, steps = self._settings(arguments)
        few = self.budget != "all"
        batch_size = min(BATCH_SIZE, int(self.budget) // FEWEST_BATCHES) if few else BATCH_SIZE
        last = self.stack.folder(arguments) / "checkpoints" / "last.ckpt"
        return [
            *common(self.stack.seed, arguments),
            *self.stack.model(self.depth),
            *([] if self.stack.kind == "none" else [f"--model.init_args.pretrained={last}"]),
            *OPTIMIZERS[arguments.optimizer],
            f"--model.init_args.optimizer.init_args.lr={rate:g}",
            *([f"--data.init_args.train_per_class={int(self.budget) // 10}"] if few else []),
            f"--data.init_args.batch_size={batch_size}",
            f"--trainer.max_steps={steps}",
            "--trainer.max_epochs=-1",
            f"--trainer.log_every_n_steps={LOG_EVERY}",
            "--trainer.callbacks+=LayerGradients",
        ]

    def _settings(self, arguments: argparse.Namespace) -> tuple[float, int]:
        """Learning rate and steps: the same for every kind and depth."""
        rate = arguments.rate or RATES[self.stack.activation, arguments.optimizer]
        return rate, dict(zip(arguments.budgets, arguments.steps, strict=True))[self.budget]


def common(seed: int, arguments: argparse.Namespace) -> list[str]:
    """Words that every training begins with; the seed draws the labelled images, too."""
    return [
        "--data=MNIST",
        f"--data.init_args.root={arguments.root}",
        f"--data.init_args.split_seed={seed}",
        f"--seed_everything={seed}",
        "--trainer.accelerator=cpu",
        "--trainer.limit_val_batches=0",
        "--pictures.every_n_epochs=1000000",
    ]


def experiment(arguments: argparse.Namespace) -> Path:
    """The folder of all runs."""
    dir: Path = arguments.dir
    return dir / ("benchmark-pretraining" + ("-quick" if arguments.quick else ""))


def stacks(arguments: argparse.Namespace) -> list[Stack]:
    """All that are asked for and defined."""
    return [
        Stack(kind, activation, seed)
        for seed, activation, kind in product(arguments.seeds, arguments.activations, arguments.kinds)
        if activation == "sigmoid" or kind not in SIGMOID_ONLY
    ]


def cells(arguments: argparse.Namespace) -> list[Cell]:
    """All that are asked for, those of one seed together."""
    return [
        Cell(stack, depth, budget)
        for stack, depth, budget in product(stacks(arguments), arguments.depths, arguments.budgets)
    ]
