"""The Weights & Biases side of a run."""

import netrc
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info

from callbacks.run_folder import RunFolder

_HOST = "api.wandb.ai"


@dataclass
class WandbSettings:
    """How a run is tracked in Weights & Biases.

    Args:
        mode: `online` and `offline` as said; `disabled` for none; `auto` is online where credentials
            are found and offline elsewhere. The variable WANDB_MODE decides over `auto`.
        project: project the run belongs to.
        entity: team or user; the account's default if not given.
        group: name under which runs are grouped.
        tags: labels of the run.
    """

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "espalier"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)


def wandb_logger(settings: WandbSettings, run: RunFolder) -> WandbLogger | None:
    """Make the logger of a run, which has the run's id; None where tracking is disabled."""
    mode = os.environ.get("WANDB_MODE", "auto") if settings.mode == "auto" else settings.mode
    if mode == "auto":
        mode = "online" if _has_credentials() else "offline"
        if mode == "offline":
            rank_zero_info(
                "Weights & Biases: no credentials, so the run is kept offline; "
                f"to upload: wandb sync {run.path}/wandb/offline-*"
            )
    if mode == "disabled":
        return None
    run.path.mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        save_dir=run.path,
        id=run.id,
        name=run.id,
        project=settings.project,
        entity=settings.entity,
        group=settings.group or run.path.parent.name,
        tags=settings.tags,
        offline=mode == "offline",
        resume="allow" if mode == "online" else None,
        settings={"silent": True, "console": "off"},  # not a wandb.Settings, whose import takes a while
    )


def loggers_of(given: Any, settings: WandbSettings, run: RunFolder, first: Sequence[Logger]) -> list[Logger]:
    """Choose the loggers of a run.

    Args:
        given: loggers of the configuration, which take the place of Weights & Biases; False for none at all.
        settings: of Weights & Biases.
        run: the run's folder.
        first: loggers that every run has.
    """
    if given is False:
        return []
    chosen = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
    if not chosen and (logger := wandb_logger(settings, run)):
        chosen = [logger]
    return [*first, *chosen]


def _has_credentials() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(_HOST) is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False
