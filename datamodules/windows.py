"""Windows of a long text: where they begin in training and in evaluation, and what they hold."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from datamodules.batch import TokenBatch
from datamodules.sampler import ResumableSampler
from datamodules.seeding import derive_seed
from networks.tokens import PAD

_OFFSET = 1  # stream of the offset, which is drawn apart from the order


class TokenWindows:
    """A text in tokens, read in windows.

    A window of `context` tokens is asked for the token after each of its own. Examples are named by the position of
    their first token. `starts` are those of windows that ask for every token but the first of the text exactly once;
    the last of them is filled up with PAD.

    Args:
        token: Integers (N,), at least two.
        context: Tokens that a window reads.
        characters: int64 (V,), characters that each token of the vocabulary stands for.
    """

    def __init__(self, token: Tensor, context: int, characters: Tensor) -> None:
        assert len(token) >= 2
        self.token = token.to(torch.int32)  # half the memory
        self.context = context
        self.characters = characters
        self.starts = range(0, len(token) - 1, context)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitems__(self, starts: Sequence[int]) -> TokenBatch:
        """Returns the batch of the windows that begin at these positions."""
        start = torch.tensor(starts)
        place = start[:, None] + torch.arange(self.context + 1)  # (B, T + 1)
        text = self.token[place.clamp(max=len(self.token) - 1)].long()
        text.masked_fill_(place >= len(self.token), PAD)
        target = text[:, 1:].contiguous()
        characters = self.characters[target].sum(dim=1)
        return TokenBatch(text[:, :-1].contiguous(), target, characters, start, int((target != PAD).sum()))

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over the tokens."""
        return hashlib.sha256(self.token.numpy().tobytes()).hexdigest()


class WindowSampler(ResumableSampler):
    """Windows that tile a text from an offset drawn anew in each epoch, in random order.

    Their number does not depend on the offset: it is that of whole windows behind the largest one. What
    `ResumableSampler` says of epochs, starts and processes holds for the windows.

    Args:
        size: Tokens of the text, at least twice the context.
        context: Tokens that a window reads.
        **place: See `ResumableSampler`.
    """

    def __init__(self, size: int, context: int, **place: int) -> None:
        super().__init__(range(windows_an_epoch(size, context)), **place)
        self._context = context

    def _order(self) -> Tensor:
        """Positions of the first tokens of an epoch's windows, int64 (N,)."""
        offset = derive_seed(self.seed, self.epoch, _OFFSET) % self._context
        return offset + self._context * super()._order()


def windows_an_epoch(size: int, context: int) -> int:
    """Number of windows that a text has room for behind any offset less than the context.

    Args:
        size: Tokens of the text.
        context: Tokens that a window reads; one more is asked for.
    """
    return max(0, (size - context) // context)
