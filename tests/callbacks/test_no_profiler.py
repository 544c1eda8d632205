from pathlib import Path

import pytest
from lightning.pytorch.profilers import SimpleProfiler

import cli
from callbacks import NoProfiler

pytestmark = pytest.mark.usefixtures("no_drawing")

WORDS = ["fit", "--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml", "--trainer.max_epochs=1"]


def test_all_contexts_are_one() -> None:
    profiler = NoProfiler()
    with profiler.profile("a"), profiler.profile("b"):
        assert profiler.profile("a") is profiler.profile("b")


@pytest.mark.parametrize(("flags", "kind"), [([], NoProfiler), (["--trainer.profiler=simple"], SimpleProfiler)])
def test_a_run_is_profiled_if_it_is_asked_for(flags: list[str], kind: type, tmp_path: Path) -> None:
    trainer = cli.main([*WORDS, *flags, f"--run.dir={tmp_path}"]).trainer
    assert type(trainer.profiler) is kind
