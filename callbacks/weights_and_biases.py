"""The Weights & Biases side of a run."""

import netrc
import os
from dataclasses import dataclass, field
from typing import Literal

from lightning.pytorch.loggers import WandbLogger
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


def _has_credentials() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(_HOST) is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False
