"""Texts of which some tokens are missing."""

from pathlib import Path
from typing import Any

import pytest

from datamodules import NumberWords, TextFile


def text_file(folder: Path, **arguments: Any) -> TextFile:
    path = folder / "text.txt"
    path.write_text("to be, or not to be: that is the question.\n" * 60, encoding="utf-8")
    return TextFile(path=str(path), context=16, **arguments)


def test_of_characters_each_blank_is_one(tmp_path: Path) -> None:
    data = text_file(tmp_path)
    tokens = data.encode_with_blanks("<mask>o <mask><mask> or")
    mask = data.vocab_size
    assert tokens == [mask, *data.encode("o "), mask, mask, *data.encode(" or")]
    assert "".join(data.token_names(tokens)) == "<mask>o␣<mask><mask>␣or"
    assert data.decode(tokens) == "o  or"


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_of_merged_bytes_a_blank_has_the_space_before_it(missing: int, tmp_path: Path) -> None:
    data = text_file(tmp_path, level="bpe", merged_vocab=400)
    words = ["to", "be", ",", "or"]
    whole = data.encode("to be, or")
    assert data.token_names(whole) == ["to", "␣be", ",", "␣or"]
    words[missing] = "<mask>"
    whole[missing] = data.vocab_size
    assert data.encode_with_blanks(f"{words[0]} {words[1]}{words[2]} {words[3]}") == whole


def test_a_text_without_blanks_is_what_it_was() -> None:
    data = NumberWords(train_size=20, val_size=5, test_size=5)
    assert data.encode_with_blanks("12 three") == data.encode("12 three")
