"""Associative recall: what a model remembers of what it read, at any distance."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from datamodules.batch import TokenBatch
from datamodules.drawn_parts import DrawnParts
from datamodules.resumable import at_least
from datamodules.text import TextDataModule
from datamodules.vocabulary import word_vocabulary
from networks.tokens import PAD, SPECIAL_TOKENS

_FILLER = len(SPECIAL_TOKENS)


class RecallSequences:
    """Sequences of tokens that are asked for some of them.

    Args:
        token: int64 (N, T), what is read.
        target: int64 (N, T), what has to be said after each; PAD where nothing is asked.
    """

    def __init__(self, token: Tensor, target: Tensor) -> None:
        self.token = token
        self.target = target

    def __len__(self) -> int:
        return len(self.token)

    def __getitems__(self, indices: Sequence[int]) -> TokenBatch:
        """Returns the batch of the sequences at these positions."""
        index = torch.tensor(indices)
        target = self.target.index_select(0, index)
        asked = (target != PAD).sum(dim=1)
        return TokenBatch(self.token.index_select(0, index), target, asked, index, int(asked.sum()))

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over tokens and targets."""
        return hashlib.sha256(self.token.numpy().tobytes() + self.target.numpy().tobytes()).hexdigest()


class AssociativeRecall(DrawnParts[RecallSequences], TextDataModule[RecallSequences]):
    """Pairs of a key and a value, then the same keys in another order: the model has to say the value of each.

    ```
    k3 v1 k0 v5 k7 v1 . . k7 v1 k3 v1 k0 v5
    ```

    The keys of a sequence differ, its values may be equal. Fillers, if the sequence has room for them, stand between
    the pairs and the questions. Only the values in the second half are asked for; each counts as one character. The
    parts are drawn independently.

    Source: Ba et al., "Using Fast Weights to Attend to the Recent Past" (NeurIPS 2016, section 4.1), with all keys
    asked for; Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language Models" (ICLR 2024).

    Args:
        pairs: Pairs of a sequence.
        keys: Different keys there are.
        values: Different values there are.
        length: Tokens of a sequence; None for 4 * pairs, without fillers.
        **kwargs: See `SizedParts` and `TextDataModule`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(
        self,
        *,
        pairs: int = 8,
        keys: int = 16,
        values: int = 16,
        length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        at_least(1, pairs=pairs, keys=keys, values=values)
        if pairs > keys:
            raise ValueError(f"pairs={pairs} is more than the {keys} keys: choose fewer, or increase keys")
        if length is not None and length < 4 * pairs:
            raise ValueError(f"length={length} has no room for {pairs} pairs and as many questions: choose {4 * pairs}")
        self.pairs = pairs
        self.keys = keys
        self.values = values
        self.length = 4 * pairs if length is None else length
        self.refuse_other_vocabulary()

    @property
    def context(self) -> int:
        """Tokens that a model reads at once."""
        return self.length

    def make_vocabulary(self) -> Tokenizer:
        """Makes the vocabulary of the filler, the keys and the values."""
        keys, values = (f"k{key}" for key in range(self.keys)), (f"v{value}" for value in range(self.values))
        return word_vocabulary([".", *keys, *values])

    def draw(self, size: int, stream: int) -> RecallSequences:
        """Draws sequences.

        Args:
            size: Number of sequences.
            stream: Which of the independent draws under `split_seed` is wanted.
        """
        generator = self.generator(stream)
        key = torch.rand(size, self.keys, generator=generator).argsort(dim=1)[:, : self.pairs]
        value = torch.randint(self.values, (size, self.pairs), generator=generator)
        order = torch.rand(size, self.pairs, generator=generator).argsort(dim=1)
        pair = torch.stack([key + _FILLER + 1, value + _FILLER + 1 + self.keys], dim=2)  # (N, P, 2)
        question = pair.gather(1, order[:, :, None].expand(-1, -1, 2))
        filler = torch.full((size, self.length - 4 * self.pairs), _FILLER)
        token = torch.cat([pair.flatten(1), filler, question.flatten(1)], dim=1)
        target = torch.full_like(token, PAD)
        target[:, -2 * self.pairs :: 2] = question[:, :, 1]
        return RecallSequences(token, target)


def recall_distance(token: Tensor, target: Tensor) -> Tensor:
    """Measures how far back each question's answer lies: from the key that asks to the same key among the pairs.

    Args:
        token: int64 (B, T).
        target: int64 (B, T); PAD where nothing is asked.

    Returns:
        int64 (B, T), in tokens; 0 where nothing is asked.
    """
    place = torch.arange(token.shape[1], device=token.device).expand_as(token)
    first = token.new_full((len(token), int(token.max()) + 1), token.shape[1])
    first = first.scatter_reduce(1, token, place, "amin")  # (B, V), first place of each token
    return (place - first.gather(1, token)).masked_fill(target == PAD, 0)
