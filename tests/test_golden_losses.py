"""The first training losses of every technique, which a change that is not numerical must not move.

After one that is: `python -m pytest tests/test_golden_losses.py --write-golden-losses`, and say why in the commit.
"""

import json
from pathlib import Path

import pytest

import cli
from benchmarks.kill_resume import Run

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
TECHNIQUES = sorted(path.parent.name for path in (ROOT / "configs").glob("*/digits.yaml"))


def first_losses(technique: str, runs: Path) -> dict[str, list[float]]:
    run = Run(runs, (f"--config=configs/{technique}/digits.yaml", "--trainer.accelerator=cpu"))
    place = (f"--run.dir={runs}", "--run.experiment=run", "--run.id=run")
    cli.main(["fit", *run.words, "--trainer.max_steps=20", "--trainer.log_every_n_steps=1", *place])
    return run.losses


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_first_losses_are_those_of_before(technique: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    losses = first_losses(technique, tmp_path)
    assert {len(values) for values in losses.values()} == {20}
    path = GOLDEN / f"{technique}.json"
    if pytestconfig.getoption("--write-golden-losses"):
        path.write_text(json.dumps(losses, indent=2) + "\n")
    golden = json.loads(path.read_text())
    # another processor sums in another order
    assert losses == {name: pytest.approx(values, rel=1e-4) for name, values in golden.items()}


def test_every_file_has_its_technique() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == TECHNIQUES
