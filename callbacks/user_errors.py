"""From an error to the lines that a user can act on."""

import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException

from callbacks.settings import SettingsError, flatten

USER_ERRORS = (
    ArgumentError,
    FileNotFoundError,
    IsADirectoryError,
    MisconfigurationException,
    NotADirectoryError,
    PermissionError,
    ValueError,
)
"""What a user can mend; every other error is a mistake in the program."""

_LEADING_NAME = re.compile(r"\w+(?==| is )")


def problems_of(error: BaseException, config: Mapping[str, Any] | None = None) -> list[str]:
    """Say what is wrong and where, one line for each problem.

    Args:
        error: what was raised.
        config: the resolved configuration. A message that begins with the bare name of one of its settings, as those
            of a class about its own arguments do, gets the dotted key instead.
    """
    lines = error.problems if isinstance(error, SettingsError) else [_in_one_line(error)]
    return [_with_dotted_key(line, flatten(config or {})) for line in lines]


def problems_in(attempt: Callable[[], Any], config: Mapping[str, Any]) -> list[str]:
    """Try something that takes the user's settings, and say what is wrong with them; nothing if it works."""
    try:
        attempt()
    except torch.OutOfMemoryError:
        return ["data.init_args.batch_size: a batch does not fit into the memory of the device, reduce it"]
    except (*USER_ERRORS, ModuleNotFoundError) as error:
        return problems_of(error, config)
    return []


def _with_dotted_key(line: str, settings: Mapping[str, Any]) -> str:
    if name := _LEADING_NAME.match(line):
        found = [key for key in settings if key.rpartition(".")[2] == name[0]]
        if len(found) > 1:
            rest = line[name.end() :]
            found = [key for key in found if rest.startswith((f" is {settings[key]!r}", f"={settings[key]!r}"))]
        if len(found) == 1:
            return found[0] + line[name.end() :]
    return line


def _in_one_line(error: BaseException) -> str:
    """Leave out the parser's account of everything else that it tried."""
    keys = dict.fromkeys(re.findall(r'Parser key "([^"]+)"', str(error)))
    while "jsonargparse" in _raised_in(error) and (inner := error.__cause__ or error.__context__):
        error = inner
    message = " ".join(str(error).split())
    return ": ".join([*([".".join(keys)] if keys else []), message])


def _raised_in(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_code.co_filename if frames else ""
