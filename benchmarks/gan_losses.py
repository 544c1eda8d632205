"""The five losses of the GAN on MNIST at equal steps of the generator: trains and tests each, and prints a table.

    python -m benchmarks.gan_losses --root data

All of configs/gan/mnist.yaml is the same for all losses, except for what one cannot do without: the Wasserstein loss
has its gradient penalty, which makes its steps dearer. The penalty forbids batch normalisation in the discriminator, so
no loss has it there. Each discriminator takes one step to one of the generator. What is tested is the generator's
moving average after the last step, nothing is chosen on the way. The last row is a generator of which no weight moved.

A run that has been tested is read, not trained again; one that was interrupted is continued.
"""

import argparse
from pathlib import Path

from benchmarks.commands import ROOT, average, results, train_and_test
from networks import DigitFeatures
from objectives import GAMES

UNTRAINED = "untrained"
ROWS = (*GAMES, UNTRAINED)
METRICS = ("frechet_distance", "kernel_distance", "precision", "recall", "diversity")
QUICK_STEPS = 20


def main(words: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    arguments = parse(words)
    for name in arguments.losses:
        for seed in arguments.seeds:
            train_and_test(folder(name, seed, arguments), *changes(name, seed, arguments))
    print(table(arguments))


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    parser.add_argument("--dir", default="runs", type=Path, help="folder of the runs")
    parser.add_argument("--losses", nargs="+", choices=ROWS, default=ROWS, help="only these rows")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=3000, help="of the generator, of 64 images each")
    parser.add_argument("--normalisation", choices=("spectral", "none"), default="spectral", help="of discriminators")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps, tested on one batch")
    arguments = parser.parse_args(words)
    if arguments.steps < 1:
        parser.error(f"--steps is {arguments.steps}: give 1 or more")
    if arguments.quick:
        arguments.steps = QUICK_STEPS
    return arguments


def folder(name: str, seed: int, arguments: argparse.Namespace) -> Path:
    """The run of a row; settings that change its numbers are part of its name."""
    dir: Path = arguments.dir
    experiment = "benchmark-gan-losses" + ("-quick" if arguments.quick else "")
    return dir / experiment / f"{name}-{arguments.normalisation}-{arguments.steps}-{seed}"


def changes(name: str, seed: int, arguments: argparse.Namespace) -> list[str]:
    """The configuration, and what a row changes in it."""
    untrained = name == UNTRAINED
    return [
        f"--config={ROOT / 'configs' / 'gan' / 'mnist.yaml'}",
        f"--data.init_args.root={arguments.root}",
        f"--seed_everything={seed}",
        f"--model.init_args.discriminator.init_args.normalisation={arguments.normalisation}",
        "--trainer.max_epochs=-1",
        f"--trainer.max_steps={1 if untrained else arguments.steps}",
        "--trainer.limit_val_batches=0",
        f"--trainer.limit_test_batches={1 if arguments.quick else 1.0}",
        *(
            [f"--model.init_args.{player}_optimizer.init_args.lr=0" for player in ("generator", "discriminator")]
            if untrained
            else [f"--model.init_args.loss={name}"]
        ),
    ]


def table(arguments: argparse.Namespace) -> str:
    """Format the results as a Markdown table, and say what they were measured in."""
    lines = [
        f"| loss | {' | '.join(name.replace('_', ' ') for name in METRICS)} | seconds |",
        "|---" * (len(METRICS) + 2) + "|",
    ]
    for name in arguments.losses:
        found = [results(folder(name, seed, arguments)) for seed in arguments.seeds]
        cells = [average([one[f"test/{metric}"] for one in found]) for metric in METRICS]
        seconds = "" if name == UNTRAINED else average([one["seconds"] for one in found])
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds} |")
    real, generated = (int(found[0][f"test/{name}"]) for name in ("n_real", "n_generated"))
    seeds = ", ".join(map(str, arguments.seeds))
    return "\n".join(
        [
            *lines,
            "",
            f"{real:,} test images against {generated:,} generated ones, in {DigitFeatures().description}; "
            f"{arguments.steps:,} steps, discriminators with normalisation {arguments.normalisation}, seeds {seeds}.",
        ]
    )


if __name__ == "__main__":
    main()
