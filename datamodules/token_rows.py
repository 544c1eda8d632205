"""Sequences of tokens of unequal lengths, taken in batches that are filled up."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from networks.tokens import PAD


class TokenRows:
    """Sequences of tokens, one behind the other in memory.

    Args:
        rows: The sequences.

    Attributes:
        length: int64 (N,), of each.
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self.length = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        self._token = torch.tensor([*chain.from_iterable(rows), PAD], dtype=torch.int32)
        self._start = self.length.cumsum(0) - self.length

    def __len__(self) -> int:
        return len(self.length)

    def take(self, index: Tensor) -> Tensor:
        """Copies the sequences at the positions `index`, int64 (B,), into int64 (B, T), PAD behind the shorter ones."""
        length = self.length[index, None]
        step = torch.arange(int(length.max()))
        inside = step < length  # (B, T)
        place = torch.where(inside, self._start[index, None] + step, len(self._token) - 1)
        return self._token[place].long()

    def digest(self) -> bytes:
        """Returns the lengths and tokens as bytes."""
        return self.length.numpy().tobytes() + self._token.numpy().tobytes()
