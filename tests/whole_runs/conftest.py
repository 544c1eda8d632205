"""The runs of this folder go through every configuration on data that need no network."""

from collections.abc import Callable
from pathlib import Path

import pytest
from offline import OFFLINE

from benchmarks.kill_resume import Run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "config" in metafunc.fixturenames:
        metafunc.parametrize("config", OFFLINE, ids=lambda path: f"{path.parent.name}/{path.stem}")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Makes a run of a configuration that can import what lies in this folder."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def make(name: str, config: Path, *words: str) -> Run:
        return Run(tmp_path / name, (f"--config={config}", "--trainer.accelerator=cpu", *words))

    return make
