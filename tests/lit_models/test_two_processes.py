import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import run_in_processes
import torch

Results = dict[str, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results]:
    folder = tmp_path_factory.mktemp("two")
    script = Path(run_in_processes.__file__)
    root = script.parents[2]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(script), "2", str(folder)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    two = torch.load(folder / "results.pt", weights_only=True)
    return run_in_processes.run(1, tmp_path_factory.mktemp("one")), two


names = pytest.mark.parametrize("name", [technique.__name__ for technique in run_in_processes.TECHNIQUES])


@names
def test_two_processes_train_as_one_with_the_whole_batch(both: tuple[Results, Results], name: str) -> None:
    one, two = (results[name]["state"] for results in both)
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


@names
def test_two_processes_score_as_one(both: tuple[Results, Results], name: str) -> None:
    one, two = (results[name]["scores"] for results in both)
    assert one == {key: pytest.approx(two[key], rel=1e-4) for key in one}
