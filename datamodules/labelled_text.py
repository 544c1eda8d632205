"""What the DataModules of texts with classes share: tokens, parts, and a few labels of many."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from datamodules.batch import LabelledTextBatch
from datamodules.continuous_text import Level
from datamodules.resumable import at_least
from datamodules.sampler import EvaluationSampler
from datamodules.split import few_of_each, stratified_split
from datamodules.text import TextDataModule
from datamodules.token_rows import TokenRows
from datamodules.vocabulary import SMALLEST_MERGED, byte_pair_vocabulary, character_vocabulary, encode_all

_TEST_STREAM, _VAL_STREAM, _FEW_STREAM = range(3)  # keys of the draws, so that they are independent


class LabelledTexts(NamedTuple):
    """Texts and their classes.

    Attributes:
        text: N of them.
        label: int64 (N,).
    """

    text: list[str]
    label: Tensor

    def at(self, position: Tensor) -> "LabelledTexts":
        """Returns those at some positions, int64 (M,)."""
        return LabelledTexts([self.text[place] for place in position.tolist()], self.label[position])


class LabelledRows:
    """Texts in tokens with their classes.

    Args:
        rows: The tokens of each.
        label: int64 (N,), class of each.
    """

    def __init__(self, rows: Sequence[Sequence[int]], label: Tensor) -> None:
        assert len(rows) == len(label)
        self.token = TokenRows(rows)
        self.label = label

    def __len__(self) -> int:
        return len(self.label)

    def __getitems__(self, indices: Sequence[int]) -> LabelledTextBatch:
        """Returns the batch of the texts at these positions."""
        index = torch.tensor(indices)
        return LabelledTextBatch(self.token.take(index), self.label[index], index)

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over texts and labels."""
        return hashlib.sha256(self.token.digest() + self.label.numpy().tobytes()).hexdigest()


class LabelledText(TextDataModule[LabelledRows]):
    """Short texts, each of one of several classes, for a classifier, or without their classes for a language model.

    The vocabulary is that of all texts of the training part, also if only a few of them are kept. Evaluation goes
    through a part from the longest text to the shortest, so that little of a batch is padding; `index` keeps the order
    of the part.

    Args:
        level: What tokens are: "characters", or "bpe" for merged bytes. Not used with `tokenizer`.
        merged_vocab: Tokens of the vocabulary of merged bytes. Not used with `tokenizer`.
        context: Most tokens of a text that are read; what is behind them is left out.
        val_size: Share of the training texts held out for validation, in [0, 1), stratified by class.
        train_per_class: Keep only so many training texts of each class, drawn with `split_seed` from those that the
            validation part has left; a smaller number keeps some of the same. None keeps all.
        split_seed: Seed of the division and of that draw; not `seed`, so that runs with different seeds share it.
        **kwargs: See `TextDataModule`.

    Raises:
        ValueError: If a size is impossible.
    """

    example_name = "text"

    def __init__(
        self,
        *,
        level: Level = "characters",
        merged_vocab: int = 2000,
        context: int = 128,
        val_size: float = 0.1,
        train_per_class: int | None = None,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if level not in ("characters", "bpe"):
            raise ValueError(f"level={level!r} is not a kind of tokens: choose 'characters' or 'bpe'")
        at_least(1, context=context)
        at_least(SMALLEST_MERGED, merged_vocab=merged_vocab)
        if train_per_class is not None:
            at_least(1, train_per_class=train_per_class)
        if not 0 <= val_size < 1:
            raise ValueError(f"val_size={val_size} is not a share of the training texts: choose one in [0, 1)")
        self.level = level
        self.merged_vocab = merged_vocab
        self._context = context
        self.val_size = val_size
        self.train_per_class = train_per_class
        self.split_seed = split_seed
        self._divided: tuple[LabelledTexts, LabelledTexts] | None = None

    @property
    def context(self) -> int:
        """Most tokens of a text that a model reads."""
        return self._context

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, in the order of their numbers."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @abstractmethod
    def read_training(self) -> LabelledTexts:
        """Reads the texts of the training and the validation part.

        Raises:
            ValueError: If they cannot be read.
        """

    @abstractmethod
    def read_test(self) -> LabelledTexts:
        """Reads the texts of the test part.

        Raises:
            ValueError: If they cannot be read.
        """

    def hold_out(self, texts: LabelledTexts, share: float) -> tuple[LabelledTexts, LabelledTexts]:
        """Divides texts that come without a test part into those to train and to test, stratified by class.

        Args:
            texts: All of them.
            share: Of the test part, in (0, 1), the argument `test_size`.

        Raises:
            ValueError: If a part is left empty.
        """
        return self._split(texts, share, _TEST_STREAM, "test_size")

    def make_vocabulary(self) -> Tokenizer:
        """Makes the vocabulary of the training part."""
        texts = self._parts()[0].text
        if self.level == "characters":
            return character_vocabulary(texts)
        return byte_pair_vocabulary(texts, self.merged_vocab)

    def load_training(self) -> tuple[LabelledRows, LabelledRows | None]:
        """Reads the training part, or a few of its texts, and the validation part.

        Raises:
            ValueError: If a class has too few texts.
        """
        training, validation = self._parts()
        if self.train_per_class is not None:
            keys = self.split_seed, _FEW_STREAM
            few = few_of_each(training.label, self.train_per_class, self.class_names, "texts", *keys)
            training = training.at(few)
        return self._encoded(training), self._encoded(validation) if self.val_size > 0 else None

    def load_test(self) -> LabelledRows:
        """Reads the test part."""
        return self._encoded(self.read_test())

    def _parts(self) -> tuple[LabelledTexts, LabelledTexts]:
        if self._divided is None:
            self._divided = self._split(self.read_training(), self.val_size, _VAL_STREAM, "val_size")
        return self._divided

    def _split(self, texts: LabelledTexts, share: float, stream: int, name: str) -> tuple[LabelledTexts, LabelledTexts]:
        rest, held_out = stratified_split(texts.label, share, self.split_seed, stream, name=name)
        return texts.at(rest), texts.at(held_out)

    def _encoded(self, texts: LabelledTexts) -> LabelledRows:
        rows = [row[: self.context] for row in encode_all(self.vocabulary, texts.text)]
        return LabelledRows(rows, texts.label)

    def _evaluation_sampler(self, dataset: LabelledRows, **process: int) -> EvaluationSampler:
        order: Tensor = dataset.token.length.argsort(descending=True, stable=True)
        return EvaluationSampler(dataset, order.tolist(), **process)
