"""Your own texts with classes: a file of lines, a label, a tab and a text."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from datamodules.labelled_text import LabelledText, LabelledTexts
from datamodules.text_file import read_utf8

_TEST_SHARE = 0.1


class LabelledTextFile(LabelledText):
    """Lines of a file in UTF-8, each the name of a class, a tab, and a text.

    Classes are numbered in the order of their names. A text may hold further tabs.

    Args:
        path: The file.
        test_path: File of the test part, with no other classes. None holds a share of `path` out.
        test_size: That share, in (0, 1), stratified by class; a tenth if not given. Not with `test_path`.
        **kwargs: See `LabelledText`.

    Raises:
        ValueError: If a file is missing, or a size is impossible.
    """

    def __init__(
        self, *, path: str, test_path: str | None = None, test_size: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, file in {"path": path, "test_path": test_path}.items():
            if file is not None and not Path(file).is_file():
                raise ValueError(f"{name}={file!r} is not a file: set it to lines of a label, a tab and a text")
        if test_path is not None and test_size is not None:
            raise ValueError(f"test_size={test_size} is not used with test_path={test_path!r}: leave one out")
        if test_size is not None and not 0 < test_size < 1:
            raise ValueError(f"test_size={test_size} is not a share of the texts: choose one in (0, 1)")
        self.path = Path(path)
        self.test_path = None if test_path is None else Path(test_path)
        self.test_size = _TEST_SHARE if test_size is None else test_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels of the file in alphabetical order."""
        return tuple(sorted({label for label, _ in self._lines}))

    def read_training(self) -> LabelledTexts:
        """Reads the file, without the test part if that is taken from it."""
        texts = self._numbered(self.path, self._lines)
        return texts if self.test_path is not None else self.hold_out(texts, self.test_size)[0]

    def read_test(self) -> LabelledTexts:
        """Reads the file of the test part, or takes the part that is held out.

        Raises:
            ValueError: If there is a class that the training part does not have.
        """
        if self.test_path is not None:
            return self._numbered(self.test_path, read_labelled(self.test_path))
        return self.hold_out(self._numbered(self.path, self._lines), self.test_size)[1]

    @cached_property
    def _lines(self) -> list[tuple[str, str]]:
        return read_labelled(self.path)

    def _numbered(self, path: Path, lines: list[tuple[str, str]]) -> LabelledTexts:
        numbers = {name: number for number, name in enumerate(self.class_names)}
        if strange := sorted({label for label, _ in lines} - numbers.keys()):
            raise ValueError(f"{path} has class {strange[0]!r}, which {self.path} has not: mend one of them")
        return LabelledTexts([text for _, text in lines], torch.tensor([numbers[label] for label, _ in lines]))


def read_labelled(path: Path) -> list[tuple[str, str]]:
    """Reads label and text of each line; empty lines are passed over.

    Raises:
        ValueError: If a line has no tab, no label or no text, or there are fewer than two classes.
    """
    lines = []
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        label, tab, text = (part.strip() if part != "\t" else part for part in line.partition("\t"))
        if not (label and tab and text):
            raise ValueError(f"{path} has no label, tab and text in line {number}: mend it")
        lines.append((label, text))
    if len({label for label, _ in lines}) < 2:
        raise ValueError(f"{path} has fewer than two classes: begin each line with the name of one and a tab")
    return lines
