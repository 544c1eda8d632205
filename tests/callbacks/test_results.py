"""What stands beside the metrics of a test."""

import json
from pathlib import Path

import pytest

import cli

pytestmark = pytest.mark.usefixtures("no_drawing")


def test_the_features_stand_beside_the_distances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config=configs/gan/digits.yaml", "--config=configs/overlay/debug.yaml", f"--run.dir={tmp_path}"]
    words += ["--data.init_args.eval_batch_size=16", "--trainer.max_epochs=1"]
    run = cli.main(["fit", *words, "--run.id=one"]).run
    for stage, prefix in (("test", "test"), ("validate", "val")):
        cli.main([stage, f"--run.dir={tmp_path}", "--run.id=one"])
        written = json.loads((run.path / f"{stage}.json").read_text())
        assert written[f"{prefix}/features"].startswith("MNIST classifier ")
        assert written[f"{prefix}/n_generated"] == written[f"{prefix}/n_real"] > 0
        assert f"{prefix}/features" in capsys.readouterr().out
