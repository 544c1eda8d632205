"""The Weights & Biases run, read back from the files of an offline run."""

import json
import struct
import time
from pathlib import Path

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

import cli

BLOCK, FULL, LAST = 32768, 1, 4


def records(path: Path) -> list[wandb_internal_pb2.Record]:
    """Every record of a .wandb file: LevelDB's log format behind a header of 7 bytes."""
    data, position, whole, found = path.read_bytes(), 7, b"", []
    while position < len(data):
        room = BLOCK - position % BLOCK
        if room < 7:  # too little for a header: padding
            position += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (FULL, LAST):
            found.append(wandb_internal_pb2.Record.FromString(whole))
            whole = b""
    return found


def finished_records(path: Path) -> list[wandb_internal_pb2.Record]:
    """The records, once the process that writes them has written the last."""
    for _ in range(100):
        found = records(path)
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError("the run was never closed")


def test_offline_run_has_id_config_metrics_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("HOME", str(tmp_path))  # no netrc
    words = ["--config", "configs/vae/digits.yaml", "--config", "configs/overlay/debug.yaml", "--wandb.mode=auto"]
    cli.main(["fit", *words, f"--run.dir={tmp_path}", "--run.id=tracked"])
    wandb.finish()
    notices = [record for record in caplog.records if "kept offline" in record.message]
    assert len(notices) == 1

    (file,) = (tmp_path / "vae-digits/tracked/wandb").glob("offline-run-*/*.wandb")
    found = finished_records(file)
    (run,) = [record.run for record in found if record.HasField("run")]
    assert run.run_id == "tracked"
    config = {item.key: json.loads(item.value_json) for record in found for item in record.run.config.update}
    config |= {item.key: json.loads(item.value_json) for record in found for item in record.config.update}
    assert config["model"]["init_args"]["latent_dim"] == 8
    history = [
        {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    assert [row["train/total"] for row in history if "train/total" in row]
    assert [row["val/elbo"] for row in history if "val/elbo" in row]
    pictures = {key for row in history for key in row if key.startswith("media/")}
    assert {"media/samples", "media/reconstructions", "media/learning_curves"} <= pictures
    assert list(file.parent.glob("files/media/images/media/samples*.png"))


@pytest.mark.parametrize(("variable", "offline"), [("offline", True), ("online", False)])
def test_the_variable_decides_over_auto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, offline: bool
) -> None:
    from callbacks import RunFolder, WandbSettings, wandb_logger

    monkeypatch.setenv("WANDB_MODE", variable)
    logger = wandb_logger(WandbSettings(), RunFolder(tmp_path / "experiment" / "run"))
    assert logger is not None
    assert logger._offline is offline
    assert logger.version == "run"


def test_disabled_makes_no_logger(tmp_path: Path) -> None:
    from callbacks import RunFolder, WandbSettings, wandb_logger

    run = RunFolder(tmp_path / "experiment" / "run")
    assert wandb_logger(WandbSettings(mode="disabled"), run) is None
    assert not run.path.exists()
