"""Logits that are written down, as a network that is searched or drawn from."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

VOCAB = 7
WRITABLE = range(4, VOCAB)


class Scripted(NamedTuple):
    """Logits that depend on the last token alone; each row follows a table of its own."""

    table: Tensor  # (R, V, V), logits after each token

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.table[rows])


def follow(token: Tensor, state: Scripted) -> tuple[Tensor, Scripted]:
    return state.table[torch.arange(len(token)), token[:, 0]].unsqueeze(1), state


def scripted(n: int, seed: int) -> Scripted:
    return Scripted(torch.randn(n, VOCAB, VOCAB, generator=torch.Generator().manual_seed(seed)) * 1.5)
