"""What tasks on strings share that are made when they are asked for."""

from abc import abstractmethod

import torch
from tokenizers import Tokenizer

from datamodules.drawn_parts import SizedParts
from datamodules.pairs import SequencePairs, TokenPairs
from datamodules.resumable import Part
from datamodules.vocabulary import character_vocabulary


class GeneratedPairs(SizedParts[TokenPairs], SequencePairs):
    """Pairs of short strings, of which no two have the same source; tokens are characters of a fixed alphabet."""

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
        """Draws the pairs of all parts, and takes those of one."""
        drawn = self.draw(self.total_size, self.generator())
        start = {"train": 0, "val": self.train_size, "test": self.train_size + self.val_size}[part]
        size = {"train": self.train_size, "val": self.val_size, "test": self.test_size}[part]
        chosen = drawn[start : start + size]
        return [source for source, _ in chosen], [target for _, target in chosen]
