"""What benchmarks of quality share: commands, in processes of their own or in this one, and their results."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli import EspalierCLI

ROOT = Path(__file__).parent.parent


def run(*words: str) -> None:
    """Run `cli.py` on one thread, untracked.

    Raises:
        CalledProcessError: if it fails.
    """
    environment = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"} | dict(os.environ)
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *words], env=environment, check=True)


def run_here(*words: str) -> "EspalierCLI":
    """The same in this process, silently: what takes seconds would spend more of them on starting Python.

    Returns:
        What was run, with its `model` and its `datamodule`.

    Raises:
        SystemExit: if it fails.
    """
    import torch

    import cli

    os.environ.setdefault("WANDB_MODE", "disabled")
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cli.main([*words, "--trainer.enable_progress_bar=false"])
    finally:
        logging.disable(logging.NOTSET)


def train(folder: Path, *words: str, here: bool = False) -> None:
    """Train a run if that has not been done, and note the seconds; one that was interrupted is continued.

    Args:
        folder: of the run, `<dir>/<experiment>/<id>`; it ends with `seconds.json` in it.
        words: behind `cli.py fit`.
        here: whether to do it in this process.
    """
    if (folder / "seconds.json").exists():
        return
    start = time.perf_counter()
    (run_here if here else run)("fit", *words, *place(folder))
    (folder / "seconds.json").write_text(json.dumps({"fit": round(time.perf_counter() - start, 1)}) + "\n")


def train_and_test(folder: Path, *words: str, here: bool = False, best: bool = False) -> None:
    """As `train`, then test what came of it if that has not been done; it writes `test.json`.

    Args:
        folder: see `train`.
        words: see `train`.
        here: whether to do both in this process.
        best: whether to test the checkpoint that the run has chosen, and not what the last step has made.
    """
    if (folder / "test.json").exists():
        return
    train(folder, *words, here=here)
    last = [] if best else [f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}"]
    (run_here if here else run)("test", *place(folder), *last)


def sample(folder: Path, n: int) -> Path:
    """Draw from a trained run if that has not been done, and return the file of the samples."""
    drawn = folder / f"drawn_{n}" / "samples.npz"
    if not drawn.exists():
        run("sample", *place(folder), f"--n={n}", f"--out={drawn.parent}")
    return drawn


def place(folder: Path) -> list[str]:
    """The flags that name a run, `<dir>/<experiment>/<id>`."""
    return [f"--run.dir={folder.parents[1]}", f"--run.experiment={folder.parent.name}", f"--run.id={folder.name}"]


def results(folder: Path) -> dict[str, float]:
    """What a run's test found, and `seconds`, those of its training."""
    tested: dict[str, float] = json.loads((folder / "test.json").read_text())
    return tested | {"seconds": json.loads((folder / "seconds.json").read_text())["fit"]}


def average(values: Sequence[float], shown_as: Callable[[float], str] | None = None) -> str:
    """Mean of some values, and if there are several the lowest and the highest; shown by `number` if not said."""
    shown = [(shown_as or number)(value) for value in (mean(values), min(values), max(values))]
    return f"{shown[0]} ({shown[1]} to {shown[2]})" if len(values) > 1 else shown[0]


def number(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
