"""Where the settings of a run come from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from callbacks.settings import flatten
from callbacks.sources import GivenSettings


def print_origins(
    config: Mapping[str, Any], given: GivenSettings, defaults: Mapping[str, Any], linked: Mapping[str, tuple[Any, str]]
) -> None:
    """Print each setting that is not a default, and what gave it.

    Args:
        config: the resolved configuration as plain values.
        given: what was given, and where.
        defaults: dotted key to default.
        linked: dotted keys that follow another setting, each with its value and the key of the other.
    """
    lines = []
    for key, value in flatten(config).items():
        origin = given.origin(key)
        if origin is not None and not _same(value, defaults.get(key)):
            lines.append((f"{key} = {_written(value)}", origin))
    print_columns([*lines, *((f"{key} = {_written(value)}", other) for key, (value, other) in linked.items())])


def print_columns(rows: Sequence[tuple[str, str]]) -> None:
    """Print two columns, the second aligned behind the first."""
    width = max((len(left) for left, _ in rows), default=0)
    for left, right in rows:
        print(f"{left:{width}}   {right}")


def _same(value: Any, default: Any) -> bool:
    return bool(value == (list(default) if isinstance(default, tuple) else default))


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
