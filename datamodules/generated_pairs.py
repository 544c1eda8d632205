"""What tasks on strings share that are made when they are asked for."""

from abc import abstractmethod
from typing import Any

import torch
from tokenizers import Tokenizer

from datamodules.pairs import SequencePairs
from datamodules.resumable import Part, at_least
from datamodules.seeding import derive_seed
from datamodules.vocabulary import character_vocabulary


class GeneratedPairs(SequencePairs):
    """Pairs of short strings, of which no two have the same source; tokens are characters of a fixed alphabet.

    Args:
        train_size: Training pairs.
        val_size: Validation pairs; 0 for none.
        test_size: Test pairs.
        split_seed: Seed of the draw and of its division; not `seed`, so that runs with different seeds share them.
        **kwargs: See `SequencePairs`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(
        self,
        *,
        train_size: int = 20_000,
        val_size: int = 1_000,
        test_size: int = 1_000,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        at_least(1, train_size=train_size, test_size=test_size)
        at_least(0, val_size=val_size)
        self.train_size = train_size
        self.val_size = val_size
        self.test_size = test_size
        self.split_seed = split_seed

    @property
    @abstractmethod
    def alphabet(self) -> str:
        """Characters that occur."""

    @property
    def total_size(self) -> int:
        """Pairs of all parts together."""
        return self.train_size + int(self.val_size) + self.test_size

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
        """Draws the pairs of all parts, and takes those of one."""
        drawn = self.draw(self.total_size, torch.Generator().manual_seed(derive_seed(self.split_seed)))
        start = {"train": 0, "val": self.train_size, "test": self.train_size + int(self.val_size)}[part]
        size = {"train": self.train_size, "val": int(self.val_size), "test": self.test_size}[part]
        chosen = drawn[start : start + size]
        return [source for source, _ in chosen], [target for _, target in chosen]
