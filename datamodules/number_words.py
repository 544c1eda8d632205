"""Numbers in digits and in words: a small translation that is always at hand."""

from typing import Any, Literal

import torch

from datamodules.generated_pairs import GeneratedPairs

Direction = Literal["to_words", "to_digits"]

_DIGITS = "0123456789"
_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_SMALL = _ONES + _TEENS
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_HIGHEST = 999_999


class NumberWords(GeneratedPairs):
    """Numbers, and what they are called in English: 1984 and "one thousand nine hundred eighty-four".

    Numbers are drawn evenly from 0 to `highest`, no number twice.

    Args:
        highest: Greatest number that may be drawn, 999,999 at most.
        direction: What is the target: "to_words" or "to_digits".
        **kwargs: See `GeneratedPairs`.

    Raises:
        ValueError: If a size is impossible, or there are fewer numbers than are wanted.
    """

    def __init__(self, *, highest: int = _HIGHEST, direction: Direction = "to_words", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= highest <= _HIGHEST:
            raise ValueError(f"highest={highest} is impossible: choose a number from 0 to {_HIGHEST}")
        if direction not in ("to_words", "to_digits"):
            raise ValueError(f"direction={direction!r} is impossible: choose 'to_words' or 'to_digits'")
        if self.total_size > highest + 1:
            raise ValueError(
                f"highest={highest} leaves fewer numbers than the {self.total_size} of all parts: choose a greater "
                "one, or reduce train_size"
            )
        self.highest = highest
        self.direction = direction
        self.refuse_other_vocabulary()

    @property
    def alphabet(self) -> str:
        """Digits, the letters of the words, the blank and the hyphen."""
        return _DIGITS + "".join((*_SMALL, *_TENS, "hundred thousand", "-"))

    def draw(self, size: int, generator: torch.Generator) -> list[tuple[str, str]]:
        """Draws different numbers.

        Args:
            size: Number of numbers.
            generator: Of the draw.
        """
        numbers = torch.randperm(self.highest + 1, generator=generator)[:size].tolist()
        pairs = [(str(number), number_in_words(number)) for number in numbers]
        return pairs if self.direction == "to_words" else [(words, digits) for digits, words in pairs]


def number_in_words(number: int) -> str:
    """Says a number from 0 to 999,999 in English, without "and".

    Args:
        number: The number.
    """
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {number_in_words(number % size)}" if number % size else ""
            return f"{number_in_words(number // size)} {name}{rest}"
    if number < len(_SMALL):
        return _SMALL[number]
    return _TENS[number // 10 - 2] + (f"-{_SMALL[number % 10]}" if number % 10 else "")
