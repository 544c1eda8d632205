"""Docstrings of the standard library, by the package that they are of: labelled texts that are always at hand."""

import ast
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from datamodules.labelled_text import LabelledText, LabelledTexts

PACKAGES = (
    "asyncio",
    "email",
    "http",
    "importlib",
    "logging",
    "mailbox",
    "multiprocessing",
    "unittest",
    "urllib",
    "xml",
)
"""Parts of the standard library of every installation, with about 100 docstrings or more each."""

_SHORTEST = 40  # characters; shorter ones say next to nothing


class PythonDocstrings(LabelledText):
    """What modules, classes and functions of ten packages of the standard library say of themselves; no download.

    Only the text is read, without the code around it, from the sources; nothing is imported. Docstrings of fewer than
    40 characters are left out, and so are repetitions. In Python 3.11.7 there are 1,833 of them; versions differ a
    little.

    Args:
        test_size: Share of the texts held out for testing, in (0, 1), stratified by class.
        **kwargs: See `LabelledText`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(self, *, test_size: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < test_size < 1:
            raise ValueError(f"test_size={test_size} is not a share of the texts: choose one in (0, 1)")
        self.test_size = test_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """The packages."""
        return PACKAGES

    def read_training(self) -> LabelledTexts:
        """Reads the docstrings, without the test part.

        Raises:
            ValueError: If this installation of Python has no sources.
        """
        return self._held_out[0]

    def read_test(self) -> LabelledTexts:
        """Reads the docstrings of the test part.

        Raises:
            ValueError: If this installation of Python has no sources.
        """
        return self._held_out[1]

    @cached_property
    def _held_out(self) -> tuple[LabelledTexts, LabelledTexts]:
        found: dict[str, int] = {}
        for label, package in enumerate(PACKAGES):
            for text in docstrings(package):
                found.setdefault(text, label)
        return self.hold_out(LabelledTexts(list(found), torch.tensor(list(found.values()))), self.test_size)


def docstrings(package: str) -> Iterator[str]:
    """Reads the docstrings of a package or module, by file and line.

    Args:
        package: Its name.

    Yields:
        Each of 40 characters or more, without the indentation of its lines.

    Raises:
        ValueError: If there are no sources.
    """
    spec = find_spec(package)
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    if spec is not None and spec.origin is not None and not folders:
        files = [Path(spec.origin)]
    # some versions and installations have tests among them
    files = [path for path in files if not any("test" in path.relative_to(folder).parts for folder in folders)]
    if not any(path.suffix == ".py" and path.is_file() for path in files):
        raise ValueError(f"this Python has no sources of {package}: install them, or choose LabelledTextFile")
    for path in files:
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, kinds)]
        for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
            text = ast.get_docstring(node)
            if text is not None and len(text) >= _SHORTEST:
                yield text
