"""Random strings to be reversed or copied: the smallest tasks in which every position matters."""

import math
from string import ascii_lowercase
from typing import Any, Literal

import torch

from datamodules.generated_pairs import GeneratedPairs
from datamodules.resumable import at_least

Task = Literal["reverse", "copy"]


class RandomStrings(GeneratedPairs):
    """Random strings, and the same reversed or copied; no string twice.

    The length of each is drawn evenly first, then its letters.

    Args:
        task: "reverse" or "copy".
        letters: Size of the alphabet, which begins at "a".
        min_length: Letters of the shortest strings.
        max_length: Letters of the longest.
        **kwargs: See `GeneratedPairs`.

    Raises:
        ValueError: If a size is impossible, or there are fewer than twice as many strings as are wanted.
    """

    def __init__(
        self, *, task: Task = "reverse", letters: int = 10, min_length: int = 4, max_length: int = 16, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if task not in ("reverse", "copy"):
            raise ValueError(f"task={task!r} is impossible: choose 'reverse' or 'copy'")
        at_least(1, min_length=min_length, letters=letters)
        if letters > len(ascii_lowercase):
            raise ValueError(f"letters={letters} is impossible: choose {len(ascii_lowercase)} or less")
        if max_length < min_length:
            raise ValueError(f"max_length={max_length} is less than min_length={min_length}: choose a greater one")
        possible = math.log(sum(letters ** (length - max_length) for length in range(min_length, max_length + 1)))
        if possible + max_length * math.log(letters) < math.log(2 * self.total_size):  # powers could be too great
            raise ValueError(
                f"letters={letters} and max_length={max_length} make fewer than twice the {self.total_size} strings of "
                "all parts: increase one"
            )
        self.task = task
        self.letters = letters
        self.min_length = min_length
        self.max_length = max_length
        self.refuse_other_vocabulary()

    @property
    def alphabet(self) -> str:
        """The letters."""
        return ascii_lowercase[: self.letters]

    def draw(self, size: int, generator: torch.Generator) -> list[tuple[str, str]]:
        """Draws different strings.

        Args:
            size: Number of strings.
            generator: Of the draw.
        """
        strings: dict[str, None] = {}  # in the order of the draw
        while len(strings) < size:
            length = torch.randint(self.min_length, self.max_length + 1, (size,), generator=generator)
            letter = torch.randint(self.letters, (size, self.max_length), generator=generator)
            for end, row in zip(length.tolist(), letter.tolist(), strict=True):
                strings["".join(ascii_lowercase[place] for place in row[:end])] = None
        step = -1 if self.task == "reverse" else 1
        return [(string, string[::step]) for string in list(strings)[:size]]
