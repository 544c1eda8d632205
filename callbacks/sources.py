"""Which settings were given, and where: in a configuration file or by a flag."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from callbacks.settings import SettingsError, nearest

CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")
_NO_SETTINGS = ("help", "h", "print_config")
_SHORT = {"-c": "config"}
_TEXTS = ("prompt", "input", "out")  # flags whose words are no YAML, whatever they look like


class GivenSettings:
    """Settings from several sources, of which a later one overrides an earlier.

    They are merged as the parser does it, but nothing is checked, so that every mistake is still there to be named.

    Attributes:
        values: nested mappings, of flags with their words as they are.
        origins: dotted key of each given value to the file or flag that gave it.
        inherited: dotted keys that were given for a class which another one has replaced since.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.inherited: set[str] = set()

    def add(self, values: Mapping[str, Any], origin: str) -> None:
        """Let the settings of one more source override what is there."""
        self._merge(self.values, values, "", origin)

    def origin(self, key: str) -> str | None:
        """Where a value comes from, be it given by itself or as a part of a list."""
        while key not in self.origins and "." in key:
            key = key.rpartition(".")[0]
        return self.origins.get(key)

    def drop(self, key: str) -> None:
        """Forget where a value came from that no longer counts."""
        self.origins = {name: origin for name, origin in self.origins.items() if not f"{name}.".startswith(f"{key}.")}

    def _merge(self, node: dict[str, Any], new: Mapping[str, Any], prefix: str, origin: str) -> None:
        for name, value in new.items():
            name, _, rest = str(name).partition(".")
            value = {rest: value} if rest else value
            if origin.startswith("-") and "class_path" in node and name not in CLASS_KEYS:
                name, value = "init_args", {name: value}  # flags may leave init_args out
            self._set(node, name, value, prefix, origin)

    def _set(self, node: dict[str, Any], name: str, value: Any, prefix: str, origin: str) -> None:
        appends, name = name.endswith("+"), name.rstrip("+")
        key, old = prefix + name, node.get(name)
        self.inherited.discard(key)
        if appends:
            node[name] = [*_as_list(old), *_as_list(value)]
            self.origins[key] = origin
            return
        if isinstance(old, list) and old and isinstance(value, Mapping) and origin.startswith("-"):
            old[-1] = _as_class(old[-1])  # a flag that goes on about the last element
            self._merge(old[-1], value, f"{key}.", origin)
            return
        if isinstance(old, Mapping) and "class_path" in old and _names_class(value):
            value = {"class_path": value}
        if not isinstance(value, Mapping):
            self.drop(key)
            node[name], self.origins[key] = value, origin
            return
        if isinstance(old, str):
            self.origins[f"{key}.class_path"] = self.origins.pop(key, origin)
        merged = _as_class(old)
        self._note_inherited(merged, value, key)
        node[name] = merged
        self.origins.pop(key, None)
        self._merge(merged, value, f"{key}.", origin)

    def _note_inherited(self, old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> None:
        if "class_path" in new and _short(old.get("class_path")) != _short(new["class_path"]):
            self.inherited |= {f"{key}.init_args.{name}" for name in old.get("init_args") or {}}


def flags(words: list[str]) -> Iterator[tuple[str, str | None]]:
    """Go through the flags of a command line, each with its name without dashes and its value, if it has one."""
    parts = [part for word in words for part in (word.split("=", 1) if word.startswith("-") else [word])]
    for word, following in pairwise([*parts, "--"]):
        if word.startswith("-") and word.lstrip("-")[:1].isalpha():
            yield _SHORT.get(word, word.lstrip("-")), None if following.startswith("--") else following


def check_command(words: list[str], commands: Sequence[str]) -> None:
    """Make sure that a command line begins with a command.

    Raises:
        ValueError: if it does not.
    """
    asks = words[:1] in (["-h"], ["--help"])
    if not words or (words[0].startswith("-") and not asks):
        raise ValueError(f"the command is missing, begin with one of {', '.join(commands)}")
    if not asks and words[0] not in commands:
        hint = nearest(words[0], commands) or f", choose one of {', '.join(commands)}"
        raise ValueError(f"there is no command {words[0]!r}{hint}")


def read_settings(words: list[str]) -> GivenSettings:
    """Collect the settings of a command line and of the files that it names.

    Args:
        words: the command line behind the subcommand.

    Raises:
        SettingsError: if files cannot be read as settings; with a line for each.
    """
    given, problems = GivenSettings(), []
    for name, value in flags(words):
        if value is None or name in _NO_SETTINGS or name.endswith(".help"):
            continue
        try:
            if name == "config":
                given.add(load_settings(Path(value)), value)
            else:
                given.add({name: value if name in _TEXTS else _loaded(value)}, f"--{name}")
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(problems)
    return given


def load_settings(path: Path) -> dict[str, Any]:
    """Read one configuration file; only plain values, whatever tags it has.

    Raises:
        ValueError: if it cannot be read, is not YAML or has no mapping of settings.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(f"config: {str(path)!r} cannot be read ({error.strerror}): check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"config: {str(path)!r} is not YAML with plain values ({reason})") from None
    if not isinstance(values, dict):
        kind = "nothing" if values is None else f"a {type(values).__name__}"
        raise ValueError(f"config: {str(path)!r} holds {kind}, not settings: write lines such as 'key: value'")
    return values


def _loaded(value: str) -> Any:
    """A flag's lists, mappings and null; what else it says depends on the type that is wanted."""
    try:
        loaded = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return loaded if loaded is None or isinstance(loaded, (dict, list)) else value


def _names_class(value: Any) -> bool:
    return isinstance(value, str) and value.rpartition(".")[2].isidentifier() and value not in ("true", "false")


def _as_class(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"class_path": value} if isinstance(value, str) else {}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _short(class_path: Any) -> str:
    return str(class_path).rpartition(".")[2]
