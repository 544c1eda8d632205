"""Reading a checkpoint that somebody gave, which may be anything."""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule

# what torch.load raises for a file that is no checkpoint, was cut short or changed, or holds code
UNREADABLE = (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError)

_TO_CONTINUE = ("optimizer_states", "lr_schedulers", "loops", "callbacks")
_NAMED = 3  # weights that a message names


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint's values, of which the tensors stay on the disk; no code in it is ever run.

    Raises:
        ValueError: if there is none that can be read.
    """
    if not Path(path).is_file():
        raise ValueError(f"ckpt_path: there is no file {str(path)!r}")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UNREADABLE:
        raise ValueError(
            f"ckpt_path: {str(path)!r} cannot be read, it is damaged, no checkpoint, or holds more than plain values"
        ) from None
    if not isinstance(saved, dict) or not isinstance(saved.get("state_dict"), dict):
        raise ValueError(f"ckpt_path: {str(path)!r} is no checkpoint, it has no weights under 'state_dict'")
    return saved


def misfit(saved: dict[str, Any], model: LightningModule, continues: bool) -> str | None:
    """Say why a checkpoint is of no use to a model, in one line; None if it fits.

    Args:
        saved: the checkpoint.
        model: that shall have its weights.
        continues: whether training shall go on from it, which takes more than weights.
    """
    if continues and (missing := [name for name in _TO_CONTINUE if name not in saved]):
        return f"fit cannot go on from weights alone, {', '.join(missing)} are not in the checkpoint"
    there, wanted = saved["state_dict"], model.state_dict()
    complaints = []
    if model.strict_loading:
        complaints = [
            *_names("lacks", wanted.keys() - there.keys()),
            *_names("has besides", there.keys() - wanted.keys()),
        ]
    complaints += [
        f"{name} is {tuple(there[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in there and there[name].shape != wanted[name].shape
    ][:_NAMED]
    if not complaints:
        return None
    maker = saved.get("hyper_parameters", {}).get("_class_path")
    whose = f"of {maker}" if maker else "of another model"
    return f"the checkpoint is {whose}, not of this {type(model).__name__}: it {'; '.join(complaints)}"


def _names(verb: str, names: Iterable[str]) -> list[str]:
    found = sorted(names)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [f"{verb} {', '.join(found[:_NAMED])}{more}"] if found else []
