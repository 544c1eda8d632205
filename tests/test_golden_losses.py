"""The first training losses of every technique, which a change that is not numerical must not move.

After one that is: `python -m pytest tests/test_golden_losses.py --write-golden-losses`, and say why in the commit.
"""

import csv
import json
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
TECHNIQUES = sorted(path.parent.name for path in (ROOT / "configs").glob("*/digits.yaml"))


def first_losses(technique: str, runs: Path) -> list[float]:
    flags = ["--trainer.max_steps=20", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu"]
    run = cli.main(["fit", f"--config=configs/{technique}/digits.yaml", *flags, f"--run.dir={runs}"]).run
    with (run.path / "metrics.csv").open(newline="") as file:
        return [float(row["train/total"]) for row in csv.DictReader(file) if row["train/total"]]


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_first_losses_are_those_of_before(technique: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    losses = first_losses(technique, tmp_path)
    assert len(losses) == 20
    path = GOLDEN / f"{technique}.json"
    if pytestconfig.getoption("--write-golden-losses"):
        path.write_text(json.dumps(losses, indent=2) + "\n")
    assert losses == pytest.approx(json.loads(path.read_text()), rel=1e-4)  # another processor sums in another order


def test_every_file_has_its_technique() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == TECHNIQUES
