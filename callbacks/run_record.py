"""What a run leaves behind about itself: its configuration, where it came from, its results."""

import datetime
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from callbacks.metrics_file import MetricsFile
from callbacks.run_folder import RunFolder

_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "jsonargparse", "wandb", "scikit-learn", "numpy")


@runtime_checkable
class Fingerprinted(Protocol):
    """Data that can be told from other data."""

    def fingerprint(self) -> str:
        """Hash of the training part."""


class RunRecord(Callback):
    """Writes `config.yaml` and `provenance.json`, and carries the settings in every checkpoint.

    Args:
        run: the run's folder.
        config: the resolved configuration; plain values only.
        command: what was typed.
    """

    def __init__(self, run: RunFolder, config: dict[str, Any], command: list[str]) -> None:
        self._run = run
        self._config = config
        self._command = command
        self._rows = 0
        self._metrics: MetricsFile | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration, and note the versions, the code and the data, just before anything is trained."""
        self.begin(trainer, "fit")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the versions and the code of a `test`."""
        self.begin(trainer, "test")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the versions and the code of a `predict`."""
        self.begin(trainer, "predict")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Drop the rows of metrics.csv that this run is about to write again."""
        self._continue_metrics(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop them also where a resumed run begins with its validation, and note a `validate`."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._continue_metrics(trainer)
        else:
            self.begin(trainer, "validate")

    def state_dict(self) -> dict[str, Any]:
        """The settings that a continued run must share, and how far metrics.csv had come."""
        return {"settings": shared_settings(self._config), "rows": self._metrics.rows if self._metrics else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind the rows that were there."""
        self._rows = state_dict["rows"]

    def _continue_metrics(self, trainer: Trainer) -> None:
        if self._metrics is None:
            files = [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]
            self._metrics = files[0] if files else None
            if self._metrics:
                self._metrics.continue_from(self._rows)

    @rank_zero_only
    def begin(self, trainer: Trainer, stage: str) -> None:
        """Note a launch, in the process of rank zero.

        Args:
            trainer: that runs it.
            stage: the command.
        """
        self._run.path.mkdir(parents=True, exist_ok=True)
        if stage == "fit":
            write_text(self._run.config, yaml.safe_dump(self._config, sort_keys=False))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(self._config)
        path = self._run.path / "provenance.json"
        launches = json.loads(path.read_text()) if path.exists() else []
        data = getattr(trainer, "datamodule", None)
        launches.append(
            {
                "stage": stage,
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "command": self._command,
                "git_commit": _git("rev-parse", "HEAD"),
                "git_modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
                "data_sha256": data.fingerprint() if stage == "fit" and isinstance(data, Fingerprinted) else None,
                "python": platform.python_version(),
                "versions": {package: version(package) for package in _PACKAGES},
                "machine": platform.platform(),
                "processor": platform.machine(),
                "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
                "processes": trainer.world_size,
                "threads": torch.get_num_threads(),
            }
        )
        write_text(path, json.dumps(launches, indent=2) + "\n")


def shared_settings(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that defines what is trained, on what and from which seed."""
    return {key: config.get(key) for key in ("seed_everything", "model", "data")}


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None  # installed without its repository, or no git: provenance says null
    return done.stdout.strip()
