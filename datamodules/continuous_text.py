"""One long text, divided into contiguous parts and read in windows."""

from abc import abstractmethod
from typing import Any, Literal

import torch
from tokenizers import Tokenizer

from datamodules.resumable import Part, at_least
from datamodules.sampler import EvaluationSampler, ResumableSampler
from datamodules.text import TextDataModule
from datamodules.vocabulary import (
    SMALLEST_MERGED,
    byte_pair_vocabulary,
    character_vocabulary,
    characters_per_token,
    pieces_of,
)
from datamodules.windows import TokenWindows, WindowSampler, windows_an_epoch
from networks.tokens import UNK

Level = Literal["characters", "bpe"]


class ContinuousText(TextDataModule[TokenWindows]):
    """A text for a model of what comes next.

    The parts follow each other in the text: training, test, validation. So `val_size=0.1` is the usual division of
    tiny-shakespeare, whose last tenth is the validation part, with the test part taken from the end of the training
    part. The vocabulary is that of the training part; characters that occur elsewhere only are `UNK` there, and count.

    A training epoch tiles its part with windows of `context` tokens from an offset that is drawn anew. Evaluation
    tiles a part from its first token, without overlap, and asks for every token once but the first.

    Args:
        level: What tokens are: "characters", or "bpe" for merged bytes. Not used with `tokenizer`.
        merged_vocab: Tokens of the vocabulary of merged bytes. Not used with `tokenizer`.
        context: Tokens that a window reads.
        val_size: Share of the characters, at the end of the text, held out for validation, in [0, 1).
        test_size: Share of the characters, before those, held out for testing, in [0, 1).
        **kwargs: See `TextDataModule`.

    Raises:
        ValueError: If a size is impossible.
    """

    example_name = "window"

    def __init__(
        self,
        *,
        level: Level = "characters",
        merged_vocab: int = 2000,
        context: int = 128,
        val_size: float = 0.1,
        test_size: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if level not in ("characters", "bpe"):
            raise ValueError(f"level={level!r} is not a kind of tokens: choose 'characters' or 'bpe'")
        at_least(1, context=context)
        at_least(SMALLEST_MERGED, merged_vocab=merged_vocab)
        for name, share in (("val_size", val_size), ("test_size", test_size)):
            if not 0 <= share < 1:
                raise ValueError(f"{name}={share} is not a share of the text: choose one in [0, 1)")
        if val_size + test_size >= 1:
            raise ValueError(f"val_size={val_size} and test_size={test_size} leave no training part: reduce one")
        self.level = level
        self.merged_vocab = merged_vocab
        self._context = context
        self.val_size = val_size
        self.test_size = test_size
        self._untaken: dict[Part, str] = {}

    @property
    def context(self) -> int:
        """Tokens that a model reads at once."""
        return self._context

    @abstractmethod
    def read_text(self) -> str:
        """Reads the whole text.

        Raises:
            ValueError: If it cannot be read.
        """

    def part_of_text(self, part: Part) -> str:
        """Returns a part of the text, which is read and divided once; a part is kept until it is written in tokens.

        Raises:
            ValueError: If it cannot be read.
        """
        if part not in self._untaken:
            text = self.read_text()
            shares = (self.val_size + self.test_size, self.val_size)
            test, validation = (int(len(text) * (1 - share)) for share in shares)
            self._untaken = {"train": text[:test], "test": text[test:validation], "val": text[validation:]}
        return self._untaken[part]

    def make_vocabulary(self) -> Tokenizer:
        """Makes the vocabulary of the training part."""
        text = self.part_of_text("train")
        if self.level == "characters":
            return character_vocabulary([text])
        return byte_pair_vocabulary(pieces_of(text), self.merged_vocab)

    def opening(self) -> list[int]:
        """Returns what stands before a text of which nothing is given: the end of a line, if the text has lines.

        Windows begin anywhere in a text, and never with `BOS`.
        """
        end = self.encode("\n")
        return super().opening() if UNK in end else end

    def load_training(self) -> tuple[TokenWindows, TokenWindows | None]:
        """Reads the training and the validation part.

        Raises:
            ValueError: If a part is too short.
        """
        training = self._windows("train")
        if not windows_an_epoch(size := len(training.token), self.context):
            raise ValueError(
                f"context={self.context} is too long for {size} training tokens: choose {size // 2} or less, or a "
                "longer text"
            )
        return training, self._windows("val") if self.val_size > 0 else None

    def load_test(self) -> TokenWindows:
        """Reads the test part.

        Raises:
            ValueError: If there is none, or it is too short.
        """
        if self.test_size == 0:
            raise ValueError("test_size=0 leaves no test part: choose a larger one")
        return self._windows("test")

    def _windows(self, part: Part) -> TokenWindows:
        token = torch.tensor(self.encode(self.part_of_text(part)))
        del self._untaken[part]  # not before, as the vocabulary may have been made just now
        if len(token) < 2:
            raise ValueError(f"the {part} part has {len(token)} token(s), 2 are needed: choose a longer text")
        return TokenWindows(token, self.context, characters_per_token(self.vocabulary))

    def _examples_an_epoch(self, dataset: TokenWindows) -> int:
        return windows_an_epoch(len(dataset.token), self.context)

    def _training_sampler(self, dataset: TokenWindows, **place: int) -> ResumableSampler:
        return WindowSampler(len(dataset.token), self.context, **place)

    def _evaluation_sampler(self, dataset: TokenWindows, **process: int) -> EvaluationSampler:
        return EvaluationSampler(dataset, dataset.starts, **process)
