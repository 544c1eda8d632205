"""A run is a folder: where it lies, what it is called, what is in it."""

import os
import re
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RUN_ID_VARIABLE = "ESPALIER_RUN_ID"  # tells the processes that one run launches its id


@dataclass
class RunSettings:
    """Which run this is.

    Args:
        id: name of the run's folder and of its Weights & Biases run; made if not given. An id that
            exists continues that run.
        experiment: name of the folder that holds the runs; <technique>-<data> if not given.
        dir: folder of all experiments.
        override: continue a run although its model or data settings differ from the checkpoint's.
    """

    id: str | None = None
    experiment: str | None = None
    dir: str = "runs"
    override: bool = False


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run, `<dir>/<experiment>/<id>`."""

    path: Path

    @classmethod
    def create(cls, settings: RunSettings, default_experiment: str) -> "RunFolder":
        """Name a run's folder; nothing is written yet.

        Raises:
            ValueError: if a name could lead out of the folder or several processes would name it differently.
        """
        experiment = _checked("run.experiment", settings.experiment or default_experiment)
        return cls(Path(settings.dir) / experiment / _checked("run.id", settings.id or _shared_id()))

    @classmethod
    def find(cls, settings: RunSettings) -> "RunFolder | None":
        """Find the run with the given id, in any experiment if none is named.

        Raises:
            ValueError: if several experiments have a run of that id, or a name could lead out of the folder.
        """
        assert settings.id is not None
        run_id, folder = _checked("run.id", settings.id), Path(settings.dir)
        experiments = (
            [folder / _checked("run.experiment", settings.experiment)] if settings.experiment else folder.glob("*")
        )
        found = [path for path in sorted(experiments) if (path / run_id / "config.yaml").is_file()]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ValueError(f"--run.id {settings.id!r} exists in several experiments ({names}): add --run.experiment")
        return cls(found[0] / run_id) if found else None

    @property
    def id(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The resolved configuration of its training."""
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best monitored validation metric."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def average(self) -> Path:
        """The checkpoint with the mean of the weights of the last epochs."""
        return self.path / "checkpoints" / "average.ckpt"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of the text that it was trained on."""
        return self.path / "tokenizer.json"

    @property
    def continuation(self) -> str:
        """The command that continues its training."""
        where = self.path.parent.parent
        return f"python cli.py fit --run.id {self.id}" + (
            "" if where == Path(RunSettings.dir) else f" --run.dir {where}"
        )

    def load_config(self) -> dict[str, Any]:
        """Read the resolved configuration."""
        with self.config.open() as file:
            config: dict[str, Any] = yaml.safe_load(file)
        return config

    def check_writable(self) -> None:
        """Find out whether the folder can be made and written to, and leave nothing behind.

        Raises:
            ValueError: if it cannot.
        """
        there = next(path for path in (self.path, *self.path.absolute().parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise ValueError(
                f"run.dir: {str(self.path)!r} cannot be written, because of {str(there)!r} ({error.strerror}): "
                "choose another --run.dir"
            ) from None


def default_experiment(model: str, data: Mapping[str, Any]) -> str:
    """Name the experiment of a technique on data, such as `sparse_autoencoder-mnist` or `dann-mnist-usps`.

    Args:
        model: dotted path of its class.
        data: `class_path` and `init_args`. A pair of domains has the names of both, once if they are the same.
    """
    technique = re.sub(r"(?<=[a-z]{2})(?=[A-Z])", "_", _class_name(model))
    settings = data.get("init_args") or {}
    domains = [settings[domain] for domain in ("source", "target") if isinstance(settings.get(domain), Mapping)]
    names = dict.fromkeys(_class_name(part["class_path"]) for part in domains or [data])
    return "-".join([technique, *names]).lower()


def _class_name(path: str) -> str:
    return path.rpartition(".")[2]


def _checked(key: str, name: str) -> str:
    if not _NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{key} is {name!r}: use letters, digits, '.', '_' and '-', beginning with a letter or digit")
    return name


def _shared_id() -> str:
    """An id that every process of this run arrives at."""
    if job := os.environ.get("SLURM_JOB_ID"):
        return f"slurm-{job}"  # a requeued job keeps its number, and so continues its run
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("--run.id is needed under torchrun: its processes cannot agree on a made one")
    return os.environ.setdefault(RUN_ID_VARIABLE, f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")
