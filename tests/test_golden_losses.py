"""The first training losses of every technique, which a change that is not numerical must not move, nor bf16 much.

After a change that is: `python -m pytest tests/test_golden_losses.py --write-golden-losses`, and say why in the commit.
"""

import json
from pathlib import Path

import pytest
import torch
from offline import FIRST, small

import cli
from benchmarks.kill_resume import Run

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
pytestmark = pytest.mark.usefixtures("no_drawing")


def first_steps(technique: str, precision: str, runs: Path) -> Run:
    config = FIRST[technique]
    run = Run(runs, (f"--config={config}", "--trainer.accelerator=cpu", "--trainer.devices=1", *small(config)))
    words = ["--trainer.max_steps=20", "--trainer.log_every_n_steps=1", f"--trainer.precision={precision}"]
    words += ["--trainer.limit_val_batches=1"]
    cli.main(["fit", *run.words, *words, f"--run.dir={runs}", "--run.experiment=run", "--run.id=run"])
    return run


@pytest.fixture(scope="module", params=FIRST)
def technique(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def float32(technique: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The first steps as both tests need them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("WANDB_MODE", "disabled")
        return first_steps(technique, "32-true", tmp_path_factory.mktemp(technique))


def test_first_losses_are_those_of_before(technique: str, float32: Run, pytestconfig: pytest.Config) -> None:
    losses = float32.losses
    assert {len(values) for values in losses.values()} == {20}
    path = GOLDEN / f"{technique}.json"
    if pytestconfig.getoption("--write-golden-losses"):
        path.write_text(json.dumps(losses, indent=2) + "\n")
    golden = json.loads(path.read_text())
    # another processor sums in another order
    assert losses == {name: pytest.approx(values, rel=1e-4) for name, values in golden.items()}


def test_bf16_trains_like_float32(technique: str, float32: Run, tmp_path: Path) -> None:
    bf16 = first_steps(technique, "bf16-mixed", tmp_path)
    for run in (float32, bf16):
        weights = run.checkpoint["state_dict"].values()
        assert all(weight.isfinite().all() and weight.dtype in (torch.float32, torch.int64) for weight in weights)
    losses, others = ({name: values[:10] for name, values in run.losses.items()} for run in (bf16, float32))
    assert losses != others
    assert losses == {name: pytest.approx(values, rel=5e-2) for name, values in others.items()}


def test_every_file_has_its_technique() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(FIRST)
