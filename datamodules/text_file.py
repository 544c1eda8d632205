"""Your own text: one file."""

from pathlib import Path
from typing import Any

from datamodules.continuous_text import ContinuousText


class TextFile(ContinuousText):
    """A text in a file of UTF-8.

    Args:
        path: The file.
        **kwargs: See `ContinuousText`.

    Raises:
        ValueError: If the file is missing, or a size is impossible.
    """

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = Path(path)
        if not self.path.is_file():
            raise ValueError(f"path={path!r} is not a file: set it to a text file")

    def read_text(self) -> str:
        """Reads the file; ends of lines become newlines.

        Raises:
            ValueError: If it is not UTF-8.
        """
        return read_utf8(self.path)


def read_utf8(path: Path) -> str:
    """Reads a text file.

    Raises:
        ValueError: If it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8, byte {error.start} is 0x{error.object[error.start]:02x}: convert it"
        ) from error
