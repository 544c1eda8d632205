"""The runs of this folder go through every configuration on data that need no network."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from offline import OFFLINE

from benchmarks.kill_resume import Run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "config" in metafunc.fixturenames:
        metafunc.parametrize("config", OFFLINE, ids=lambda path: f"{path.parent.name}/{path.stem}")


@pytest.fixture(autouse=True)
def _what_lies_here_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """By processes that the tests start, and by those that these start."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here, here.parent))))
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """Makes a run of a configuration."""

    def make(name: str, config: Path, *words: str) -> Run:
        return Run(tmp_path / name, (f"--config={config}", "--trainer.accelerator=cpu", *words))

    return make
