"""Configurations as mappings of dotted keys: comparing them, and naming what is wrong in them."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class SettingsError(ValueError):
    """What a user has to mend before anything can run.

    Args:
        problems: one line for each, which names the key or the value and the mend.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{dotted}."))
        else:
            flat[dotted] = value
    return flat


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List the settings that differ, one line each, as `key: old -> new`."""
    before, after = flatten(old), flatten(new)
    keys = sorted(before.keys() | after.keys())
    missing = "(not set)"
    return [
        f"{key}: {before.get(key, missing)} -> {after.get(key, missing)}"
        for key in keys
        if before.get(key, missing) != after.get(key, missing)
    ]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that proposes the known name most like a mistaken one; empty if none is like it."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {matches[0]!r}?" if matches else ""
