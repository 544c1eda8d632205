"""What tasks on strings share that are made when they are asked for."""

from abc import abstractmethod
from itertools import islice
from typing import Any

import torch
from tokenizers import Tokenizer

from datamodules.drawn_parts import SizedParts
from datamodules.pairs import SequencePairs, TokenPairs
from datamodules.resumable import Part
from datamodules.vocabulary import character_vocabulary


class GeneratedPairs(SizedParts[TokenPairs], SequencePairs):
    """Pairs of short strings, of which no two have the same source; tokens are characters of a fixed alphabet.

    Args:
        **kwargs: See `SizedParts` and `SequencePairs`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._untaken: dict[Part, list[tuple[str, str]]] = {}

    @property
    @abstractmethod
    def alphabet(self) -> str:
        """Characters that occur."""

    @property
    def total_size(self) -> int:
        """Pairs of all parts together."""
        return self.train_size + self.val_size + self.test_size

    @abstractmethod
    def draw(self, size: int, generator: torch.Generator) -> list[tuple[str, str]]:
        """Draws pairs.

        Args:
            size: Number of pairs.
            generator: Of the draw.

        Returns:
            Source and target of each, no source twice.
        """

    def make_vocabulary(self) -> Tokenizer:
        """Makes the vocabulary of the alphabet."""
        return character_vocabulary([self.alphabet])

    def read_pairs(self, part: Part) -> tuple[list[str], list[str]]:
        """Takes the pairs of a part; all parts are drawn at once, and kept until they are taken."""
        if part not in self._untaken:
            drawn = iter(self.draw(self.total_size, self.generator()))
            sizes: dict[Part, int] = {"train": self.train_size, "val": self.val_size, "test": self.test_size}
            self._untaken = {name: list(islice(drawn, size)) for name, size in sizes.items()}
        taken = self._untaken.pop(part)
        return [source for source, _ in taken], [target for _, target in taken]
