"""What a model takes over from its data, and what to say where the two do not belong together."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from jsonargparse import Namespace


def missing_links(config: Namespace, linked: Mapping[str, str]) -> list[str]:
    """List what a model needs of its data and they do not have, one line each: sizes, or a number of domains.

    Args:
        config: the settings of a command, with the classes of `model` and `data`.
        linked: dotted keys of model arguments to those of the data that they follow.
    """
    model, data = (_class_of(config[part].class_path) for part in ("model", "data"))
    if hasattr(model, "domains") != hasattr(data, "domains"):
        return [_other_domains(model, data)]
    arguments = inspect.signature(model.__init__).parameters
    problems = []
    for target, source in linked.items():
        (part, _, name), (origin, _, attribute) = target.rpartition("."), source.partition(".")
        needed = name in arguments and arguments[name].default is inspect.Parameter.empty
        if part == "model.init_args" and origin == "data" and needed and not hasattr(data, attribute):
            problems.append(
                f"data: {data.__name__} has no {attribute}, which {model.__name__} needs: "
                "choose other --data, such as Digits, or another --model"
            )
    return problems


def _other_domains(model: type, data: type) -> str:
    if hasattr(data, "domains"):
        return (
            f"data: {data.__name__} has two domains, and {model.__name__} learns from one: choose other --data, such "
            "as Digits, or a --model that adapts, such as DANN"
        )
    return f"data: {data.__name__} is one domain, and {model.__name__} adapts to a second: choose --data DomainPair"


def _class_of(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
