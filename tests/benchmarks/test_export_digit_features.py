"""The export of the shipped classifier, on a run that was never trained."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import export_digit_features
from lit_models import Classifier
from networks import DigitFeatures

FIT = {
    "stage": "fit",
    "command": ["cli.py", "fit"],
    "git_commit": "0" * 40,
    "git_modified": False,
    "data_sha256": "1" * 64,
    "versions": {"torch": "2", "torchvision": "0", "lightning": "2"},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    network = {"channels": [16, 32, 64], "features": 64, "dropout": 0.2}
    config = {"seed_everything": 0, "model": {"init_args": {"network": {"init_args": network}}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "provenance.json").write_text(json.dumps([FIT, {"stage": "test"}]))
    (tmp_path / "test.json").write_text(json.dumps({"test/accuracy": 0.995}))
    (tmp_path / "checkpoints").mkdir()
    model = Classifier((1, 28, 28), 10)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "checkpoints" / "best.ckpt")
    monkeypatch.setattr(export_digit_features, "WEIGHTS", tmp_path / "weights" / "new.safetensors")
    monkeypatch.setattr("sys.argv", ["export", "--run", str(tmp_path)])
    return tmp_path


def test_what_is_exported_can_be_loaded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_digit_features.main()
    monkeypatch.setattr("networks.pretrained._SHIPPED", export_digit_features.WEIGHTS)
    features = DigitFeatures()
    state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[f"network.{name}"]) for name, value in features.network.state_dict().items())
    stated = json.loads(export_digit_features.WEIGHTS.with_suffix(".json").read_text())
    assert stated["command"] == "python cli.py fit"
    assert stated["test_accuracy"] == 0.995


def test_a_poor_classifier_is_not_exported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "test.json").write_text(json.dumps({"test/accuracy": 0.98}))
    with pytest.raises(SystemExit, match="2"):
        export_digit_features.main()
    assert "test/accuracy 0.9800: it takes at least 0.993" in capsys.readouterr().err
    assert not export_digit_features.WEIGHTS.exists()
