"""Text files with a line for each example."""

import sys
from pathlib import Path


def read_lines(source: str | None, reader: str) -> list[str]:
    """Read the lines of a file in UTF-8, or of standard input.

    Args:
        source: path of the file, or ``-``.
        reader: who wants them, for the messages.

    Raises:
        ValueError: if there are none.
    """
    if source is None:
        raise ValueError(f"input: {reader} translates lines: give --input and a file, or --input - for standard input")
    if source != "-" and not Path(source).is_file():
        raise ValueError(f"input: there is no file {source!r}: check the path, or give - for standard input")
    content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"input: byte {error.start} of {source!r} is no UTF-8: convert the text") from None
    if not text.strip():
        raise ValueError(f"input: there are no words in {source!r}: give lines to translate")
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def in_one_line(text: str) -> str:
    """Put a text into one line of a file with a line for each."""
    return " ".join(text.splitlines())
