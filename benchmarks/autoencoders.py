"""The autoencoder family on MNIST: trains every row of its table in docs/results.md, tests it, prints the table.

    python -m benchmarks.autoencoders --root data

A row whose run has been tested is read, not trained again; one that was interrupted is continued.
"""

import argparse
import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import commands
from benchmarks.commands import ROOT


@dataclass(frozen=True)
class Row:
    """One run: a configuration, what is changed in training, and what is changed only in the test."""

    name: str
    config: str
    metrics: tuple[str, ...]
    fit: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


_MSE = ("test/mse", "test/pca_mse_ratio")
_PSNR = ("test/psnr", "test/psnr_gain")
_NLL = ("test/nll", "test/elbo", "test/active_units")
_SIGMA = "--model.init_args.corruption.init_args.sigma"
_TWENTY = ("--trainer.max_epochs=20",)
_SIXTY = ("--trainer.max_epochs=60", "--model.init_args.optimizer.init_args.lr=0.004")
ROWS = (
    Row("autoencoder", "autoencoder/mnist", _MSE),
    Row("sparse", "sparse_autoencoder/mnist", ("test/mse", "test/mean_activation", "test/near_zero")),
    Row(
        "sparse-off",
        "sparse_autoencoder/mnist",
        ("test/mse", "test/mean_activation", "test/near_zero"),
        fit=("--model.init_args.sparsity_weight=0",),
    ),
    Row("denoising", "denoising_autoencoder/mnist", _PSNR),
    # the same network trained without noise, then tested under the noise that the row above is tested under
    Row("denoising-off", "denoising_autoencoder/mnist", _PSNR, fit=(f"{_SIGMA}=0",), test=(f"{_SIGMA}=0.5",)),
    Row("vae", "vae/mnist", _NLL),
    # the two bounds at equal, smaller budgets; the longer of these at a higher rate
    Row("vae-20", "vae/mnist", _NLL, fit=_TWENTY),
    Row("iwae-20", "iwae/mnist", _NLL, fit=_TWENTY),
    Row("vae-60", "vae/mnist", _NLL, fit=_SIXTY),
    Row("iwae-60", "iwae/mnist", _NLL, fit=_SIXTY),
)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    parser.add_argument("--runs", default="runs", help="folder of the runs")
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], help="only these rows")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = [row for row in ROWS if not arguments.rows or row.name in arguments.rows]
    for row in rows:
        measure(row, arguments.root, arguments.runs, arguments.seed)
    print(table(rows, Path(arguments.runs), arguments.seed))


def measure(row: Row, root: str, runs: str, seed: int) -> None:
    """Train and test one row, and note the seconds of each."""
    run = folder(row, Path(runs), seed)
    if (run / "test.json").exists():
        return
    config = [f"--config={ROOT / 'configs' / row.config}.yaml", f"--data.init_args.root={root}"]
    seconds = {}
    for stage, words in (("fit", [*config, f"--seed_everything={seed}", *row.fit]), ("test", [*row.test])):
        start = time.perf_counter()
        commands.run(stage, *words, *commands.place(run))
        seconds[stage] = round(time.perf_counter() - start, 1)
    (run / "seconds.json").write_text(json.dumps(seconds) + "\n")


def table(rows: list[Row], runs: Path, seed: int) -> str:
    """Format the results as a Markdown table."""
    lines = ["| row | configuration | epochs | fit s | test s | results |", "|---|---|---|---|---|---|"]
    for row in rows:
        run = folder(row, runs, seed)
        results = json.loads((run / "test.json").read_text())
        seconds = json.loads((run / "seconds.json").read_text())
        with (run / "metrics.csv").open() as file:
            epochs = 1 + max(int(entry["epoch"]) for entry in csv.DictReader(file))
        shown = ", ".join(f"{name.removeprefix('test/')} {results[name]:.4g}" for name in row.metrics)
        changed = " ".join((row.config, *row.fit, *(f"(test {word})" for word in row.test)))
        lines.append(f"| {row.name} | {changed} | {epochs} | {seconds['fit']} | {seconds['test']} | {shown} |")
    return "\n".join(lines)


def folder(row: Row, runs: Path, seed: int) -> Path:
    """The run of a row."""
    return runs / "benchmark-autoencoders" / f"{row.name}-{seed}"


if __name__ == "__main__":
    main()
