"""What benchmarks of quality share: commands in processes of their own, one after the other, and their results."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).parent.parent


def run(*words: str) -> None:
    """Run `cli.py` on one thread, untracked.

    Raises:
        CalledProcessError: if it fails.
    """
    environment = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"} | dict(os.environ)
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *words], env=environment, check=True)


def train_and_test(folder: Path, *words: str) -> None:
    """Train and test a run, as far as that has not been done, and note the seconds of its training.

    Nothing is chosen on the way: what is tested is the last step, so the words should leave out validation.

    Args:
        folder: of the run, `<dir>/<experiment>/<id>`; it ends with `test.json` and `seconds.json` in it.
        words: behind `cli.py fit`.
    """
    if (folder / "test.json").exists():
        return
    where = [f"--run.dir={folder.parents[1]}", f"--run.experiment={folder.parent.name}", f"--run.id={folder.name}"]
    if not (folder / "seconds.json").exists():
        start = time.perf_counter()
        run("fit", *words, *where)
        (folder / "seconds.json").write_text(json.dumps({"fit": round(time.perf_counter() - start, 1)}) + "\n")
    run("test", *where, f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}")


def results(folder: Path) -> dict[str, float]:
    """What a run's test found, and `seconds`, those of its training."""
    tested: dict[str, float] = json.loads((folder / "test.json").read_text())
    return tested | {"seconds": json.loads((folder / "seconds.json").read_text())["fit"]}


def average(values: Sequence[float]) -> str:
    """Mean of some values, and if there are several the lowest and the highest."""
    shown = [number(value) for value in (mean(values), min(values), max(values))]
    return f"{shown[0]} ({shown[1]} to {shown[2]})" if len(values) > 1 else shown[0]


def number(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
