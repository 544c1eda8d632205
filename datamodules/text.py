"""What the DataModules of all texts share: a vocabulary that is known before anything else."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders
from torch import Tensor

from datamodules.resumable import ExamplesT, ResumableDataModule
from datamodules.vocabulary import encode_long, read_vocabulary, size_of
from networks.tokens import BOS, EOS, MASK_NAME, SPECIAL_TOKENS, VISIBLE


class TextDataModule(ResumableDataModule[ExamplesT]):
    """Texts as tokens, in a training, a validation and a test part.

    Subclasses make the vocabulary, of the training part only, and load the parts. It is made when it is first asked
    for, so `vocab_size` is known before `setup`.

    Args:
        tokenizer: Path of a `tokenizer.json` that is used instead of a vocabulary made from the training part.
        batch_size: Sequences a training step, in each process.
        eval_batch_size: Sequences a step otherwise, in each process.
        **kwargs: See `ResumableDataModule`.

    Raises:
        ValueError: If a size is impossible, or the tokenizer cannot be used.
    """

    example_name = "sequence"

    def __init__(
        self, *, tokenizer: str | None = None, batch_size: int = 64, eval_batch_size: int = 128, **kwargs: Any
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size, **kwargs)
        self.tokenizer = tokenizer
        self._vocabulary = None if tokenizer is None else read_vocabulary(tokenizer)

    @abstractmethod
    def make_vocabulary(self) -> Tokenizer:
        """Makes the vocabulary from what the task declares, or from the training part.

        Raises:
            ValueError: If the training part cannot be read.
        """

    @property
    def vocabulary(self) -> Tokenizer:
        """The vocabulary, read or made on first use."""
        if self._vocabulary is None:
            self._vocabulary = self.make_vocabulary()
        return self._vocabulary

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the special ones included."""
        return size_of(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Writes a text in tokens, without beginning and end."""
        return encode_long(self.vocabulary, text)

    def encode_with_blanks(self, text: str) -> list[int]:
        """Writes a text with blanks, `<mask>`, in tokens, each blank as the number behind the last token.

        A blank is one token. Of merged bytes, tokens hold the space before a word: that before a blank is its own.
        """
        parts = text.split(MASK_NAME)
        if isinstance(self.vocabulary.decoder, decoders.ByteLevel):
            parts = [*(part.removesuffix(" ") for part in parts[:-1]), parts[-1]]
        tokens = self.encode(parts[0])
        for part in parts[1:]:
            tokens += [self.vocab_size, *self.encode(part)]
        return tokens

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """Reads tokens as text, up to the first `EOS`; special tokens are left out.

        Args:
            tokens: int64 (T,), or as many integers.
        """
        kept = []
        for token in _integers(tokens):
            if token == EOS:
                break
            if token >= len(SPECIAL_TOKENS):
                kept.append(token)
        return self.vocabulary.decode(kept, skip_special_tokens=False)

    def opening(self) -> list[int]:
        """Returns what stands before a text of which nothing is given: `BOS`."""
        return [BOS]

    def token_names(self, tokens: Tensor | Sequence[int]) -> list[str]:
        """Names each token for pictures: special tokens by their names, spaces and ends of lines made visible.

        The number behind the last token is a blank, `<mask>`.

        Args:
            tokens: int64 (T,), or as many integers.
        """
        named = {**dict(enumerate(SPECIAL_TOKENS)), self.vocab_size: MASK_NAME}
        return [
            named.get(token) or self.vocabulary.decode([token], skip_special_tokens=False).translate(VISIBLE)
            for token in _integers(tokens)
        ]

    def tokenizer_json(self) -> str:
        """Returns the vocabulary as the text of a `tokenizer.json`."""
        return self.vocabulary.to_str(pretty=True)

    def fingerprint(self) -> str:
        """Returns a SHA-256, in hexadecimal, of the training part and the vocabulary that it is written in."""
        return hashlib.sha256((self.vocabulary.to_str() + super().fingerprint()).encode()).hexdigest()

    def refuse_other_vocabulary(self) -> None:
        """Refuses a given tokenizer whose tokens are not those of a task with a fixed vocabulary.

        Raises:
            ValueError: If a tokenizer was given and has other tokens.
        """
        if self.tokenizer is not None and self.vocabulary.get_vocab() != self.make_vocabulary().get_vocab():
            raise ValueError(f"tokenizer={self.tokenizer!r} has not the tokens of {type(self).__name__}: leave it out")


def _integers(tokens: Tensor | Iterable[int]) -> list[int]:
    return tokens.tolist() if isinstance(tokens, Tensor) else list(tokens)
