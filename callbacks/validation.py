"""Finding every mistake in the given settings at once, before the parser stops at the first."""

import inspect
import re
from argparse import Action
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from callbacks.settings import nearest
from callbacks.sources import CLASS_KEYS, GivenSettings, load_settings


class SettingsCheck:
    """Goes through the given settings beside the parser that will read them.

    Args:
        given: the settings.
        linked: dotted keys that follow another setting, which is the value here.
        needed: dotted keys that have to be given.

    Attributes:
        problems: a line for each mistake.
        warnings: a line for each value that has no effect.
        defaults: dotted key to default, of every setting that could have been given.
    """

    def __init__(self, given: GivenSettings, linked: Mapping[str, str], needed: Sequence[str]) -> None:
        self.given = given
        self.needed = needed
        self.linked = linked
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.defaults: dict[str, Any] = {}
        self._unknown: dict[str, list[str]] = {}

    def run(self, parser: ArgumentParser) -> None:
        """Fill the attributes.

        Args:
            parser: of the subcommand.
        """
        self._group(parser, self.given.values, "", "")
        for key in self.needed:
            if key not in self.given.values:
                self.problems.append(f"{key}: is needed, give a --config, or --{key} and the name of a class")
        for key, siblings in self._unknown.items():
            name = key.rpartition(".")[2]
            elsewhere = [known for known in self.defaults if known.endswith(f".{name}")]
            hint = f", did you mean {elsewhere[0]!r}?" if elsewhere else nearest(name, siblings)
            self.problems.append(f"{key}: there is no such setting{hint}")

    def _group(self, parser: ArgumentParser, node: Mapping[str, Any], at: str, prefix: str) -> None:
        """Check the settings below `at` in a parser; the parser itself stands at `prefix` in the configuration."""
        actions = _settings_of(parser)
        for name, action in actions.items():
            if name.startswith(at):
                self.defaults[prefix + name] = action.default
                first = name[len(at) :].partition(".")[0]
                if action.required and first not in node and prefix + name not in self.linked:
                    self.problems.append(f"{prefix}{name}: is needed and has no default, give it a value")
        for name, value in node.items():
            dest = at + str(name)
            key = prefix + dest
            below = sorted({other[len(dest) + 1 :] for other in actions if other.startswith(f"{dest}.")})
            if key in self.linked and dest in actions:
                self.problems.append(f"{key}: follows {self.linked[key]}, leave it out")
            elif dest in actions:
                self._setting(parser, actions[dest], key, value)
            elif below and isinstance(value, Mapping):
                self._group(parser, value, f"{dest}.", prefix)
            elif below:
                self.problems.append(f"{key}: is {value!r}, but stands for the settings {', '.join(below)}")
            elif key in self.given.inherited:
                self.warnings.append(f"{key} has no effect: the class that was chosen later has no such setting")
            else:
                self._unknown[key] = sorted(
                    {other[len(at) :].partition(".")[0] for other in actions if other.startswith(at)}
                )

    def _setting(self, parser: ArgumentParser, action: Action, key: str, value: Any) -> None:
        hint = _type_of(action)
        bases = dict(_classes(hint))
        items = value if isinstance(value, list) else [value]
        known = bases and any(_is_class(item) or (isinstance(item, str) and _find(item, bases)) for item in items)
        if not known:
            if _allows_none(hint, action.default) if value is None else _fits(parser, action.dest, value):
                return
            nothing_else = bases and not get_literals(hint) and not _has_scalars(hint)
            if not (nothing_else and all(isinstance(item, str) for item in items)):
                shown = "null" if value is None else repr(value)
                self.problems.append(f"{key}: {shown} {_expected(hint, value)}")
                return
        for place, item in enumerate(items):
            self._class(f"{key}[{place}]" if isinstance(value, list) else key, item, bases)

    def _class(self, key: str, node: Any, bases: Mapping[type, int]) -> None:
        if isinstance(node, str) and Path(node).is_file():
            node = load_settings(Path(node))
        node = {"class_path": node} if isinstance(node, str) else node
        if not _is_class(node):
            self.problems.append(f"{key}: {node!r} is no class, write class_path and init_args")
            return
        chosen: Any = _find(str(node.get("class_path")), bases)
        extra = [name for name in node if name not in CLASS_KEYS]
        self.problems += [f"{key}.{name}: put it under init_args of {key}" for name in extra]
        if "class_path" not in node:
            self.problems.append(f"{key}.class_path: is needed, name the class that init_args belong to")
        elif chosen is None:
            self.problems.append(f"{key}: there is no class {node['class_path']!r}{_nearest_class(node, bases)}")
        elif inspect.isclass(chosen):
            fitting = [base for base in bases if issubclass(chosen, base)]
            if not fitting:
                kinds = " or ".join(base.__name__ for base in bases)
                self.problems.append(f"{key}: {chosen.__name__} is no {kinds}")
            elif _is_abstract(chosen):
                self.problems.append(f"{key}: {chosen.__name__} is only a base of others, choose one of those")
            else:
                parser = _parser_of(chosen, bases[fitting[0]])  # type: ignore[arg-type]  # classes are hashable
                self._group(parser, node.get("init_args") or {}, "", f"{key}.init_args.")


@cache
def _parser_of(chosen: Any, supplied: int) -> ArgumentParser:
    """Parser of a class's arguments without the first few, which its caller supplies."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(chosen, skip={supplied} if supplied else None, fail_untyped=False)
    return parser


def _settings_of(parser: ArgumentParser) -> dict[str, Action]:
    return {action.dest: action for action in parser._actions if _type_of(action) is not None}


def _type_of(action: Action) -> Any:
    return None if action.dest.endswith(".help") else getattr(action, "_typehint", None)


def _is_class(value: Any) -> bool:
    return isinstance(value, Mapping) and ("class_path" in value or "init_args" in value)


def _classes(hint: Any) -> Iterator[tuple[type, int]]:
    """Classes that a type allows the configuration to name, with the number of arguments their caller supplies."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return
    if origin is Callable and inspect.isclass(arguments[1]):
        yield arguments[1], len(arguments[0]) if isinstance(arguments[0], list) else 0
    elif origin is not None and origin is not dict and origin is not type:
        for argument in arguments:
            yield from _classes(argument)
    elif inspect.isclass(hint) and hint.__module__ != "builtins":
        yield hint, 0


def _is_abstract(chosen: type) -> bool:
    # not `inspect.isabstract`: Lightning's modules have another metaclass
    return any(getattr(getattr(chosen, name, None), "__isabstractmethod__", False) for name in dir(chosen))


def _find(path: str, bases: Mapping[type, int]) -> Any:
    """The class of a dotted path, or of a short name among those derived from the bases; None if there is none."""
    module, _, name = path.rpartition(".")
    if not all(part.isidentifier() for part in path.split(".")):
        return None
    if not module:
        return next((found for base in bases for found in _family(base) if found.__name__ == name), None)
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def _family(base: type[Any]) -> Iterator[type[Any]]:
    yield base
    for derived in type.__subclasses__(base):
        yield from _family(derived)


def _nearest_class(node: Mapping[str, Any], bases: Mapping[type, int]) -> str:
    module, _, name = node["class_path"].rpartition(".")
    names = {found.__name__ for base in bases for found in _family(base) if not found.__name__.startswith("_")}
    prefix = f"{module}." if module and any(_find(f"{module}.{other}", bases) for other in names) else ""
    return nearest(prefix + name, [prefix + other for other in names if _find(prefix + other, bases)])


def _fits(parser: ArgumentParser, dest: str, value: Any) -> bool:
    settings = Namespace({dest: value})  # type: ignore[no-untyped-call]
    try:
        parser.validate(settings, skip_required=True)
    except (TypeError, ValueError):
        return False
    return True


def _allows_none(hint: Any, default: Any = ...) -> bool:
    return default is None or hint in (NoneType, Any, object) or any(_allows_none(part) for part in _members(hint))


def _has_scalars(hint: Any) -> bool:
    return hint in (str, int, float, bool) or any(_has_scalars(part) for part in _members(hint))


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else ()


def get_literals(hint: Any) -> list[Any]:
    """Values that a type lists."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [value for part in _members(hint) for value in get_literals(part)]


def _expected(hint: Any, value: Any) -> str:
    if literals := get_literals(hint):
        choices = sorted({str(literal) for literal in literals})
        return f"is not among the choices {', '.join(choices)}{nearest(str(value), choices)}"
    return f"is not of type {_written(hint)}"


def _written(hint: Any) -> str:
    if members := _members(hint):
        return " or ".join(_written(member) for member in members)
    if hint is NoneType:
        return "null"
    text = str(hint) if get_args(hint) else getattr(hint, "__name__", str(hint))
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)
