"""Two processes on one CPU, launched as a user launches them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TWO = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu"]


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "cli.py", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("technique", ["sparse_autoencoder", "vae"])
def test_two_processes_train_one_run_and_test_like_one_process(tmp_path: Path, technique: str) -> None:
    config = [f"--config=configs/{technique}/digits.yaml", "--config=configs/overlay/debug.yaml"]
    out = run("fit", *config, *TWO, f"--run.dir={tmp_path}", "--trainer.limit_val_batches=1.0")
    (folder,) = (tmp_path / f"{technique}-digits").iterdir()
    assert out.count(f"run {folder}") == 1
    assert json.loads((folder / "provenance.json").read_text())[0]["processes"] == 2

    where = [f"--run.dir={tmp_path}", f"--run.id={folder.name}", "--trainer.limit_test_batches=1.0"]
    where.append("--data.init_args.eval_batch_size=50")  # 359 test images: uneven batches, and an uneven split
    run("test", *where, "--trainer.devices=1")
    one = json.loads((folder / "test.json").read_text())
    run("test", *where, *TWO)
    two = json.loads((folder / "test.json").read_text())
    assert two == pytest.approx(one, rel=1e-5)
