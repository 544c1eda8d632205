"""Writing with any network that advances token by token: the likeliest, the best of several, or a draw."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from networks.tokens import BOS, EOS, PAD, UNK

NEVER_WRITTEN = (PAD, BOS, UNK)
"""Tokens that stand for nothing that could be written."""


class State(Protocol):
    """What a network keeps of what it read, for a batch of rows."""

    def select(self, rows: Tensor) -> Self:
        """Rows of the batch, int64 (R,), in their order; a row may be asked for more than once."""
        ...


S = TypeVar("S", bound=State)

Advance = Callable[[Tensor, S], tuple[Tensor, S]]
"""Reads tokens, int64 (R, 1), after a state; gives the logits (R, 1, V) of what follows, and the state after them."""


@torch.no_grad()
def greedy(advance: Advance[S], state: S, limit: Tensor) -> Tensor:
    """Write the likeliest token at each step.

    Rows that ended leave the batch.

    Args:
        advance: reads BOS first.
        state: before BOS, of B rows.
        limit: int64 (B,), most tokens of each row, at least one; the last of them can only be EOS.

    Returns:
        int64 (B, T) without BOS; each row ends with EOS, and PAD fills it up. PAD, BOS and UNK are not written.
    """
    limit = _checked_limit(limit)
    written = torch.full((len(limit), int(limit.max())), PAD, device=limit.device)
    row = torch.arange(len(limit), device=limit.device)
    last = torch.full_like(row, BOS)
    for step in range(written.shape[1]):
        logits, state = advance(last.unsqueeze(1), state)
        last = _writable(logits[:, -1]).argmax(-1)
        last = torch.where(limit[row] == step + 1, EOS, last)
        written[row, step] = last
        going = (last != EOS).nonzero().squeeze(1)
        if not len(going):
            return written[:, : step + 1]
        if len(going) < len(row):
            row, last, state = row[going], last[going], state.select(going)
    return written


def _writable(logits: Tensor) -> Tensor:
    """Logits (..., V) in at least float32, minus infinity for what is never written."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    logits[..., list(NEVER_WRITTEN)] = -torch.inf
    return logits


def _checked_limit(limit: Tensor) -> Tensor:
    if not len(limit) or int(limit.min()) < 1:
        raise ValueError(f"limit is {limit.tolist()}: give at least one row, and each at least 1")
    return limit


@torch.no_grad()
def beam_search(
    advance: Advance[S], state: S, limit: Tensor, beam: int, length_penalty: float
) -> tuple[Tensor, Tensor]:
    """Write the sequence with the best score among those that a search finds which keeps several at a time.

    At each step a row goes on with the `beam` likeliest of its continuations that do not end. One that ends is a
    finished hypothesis if it is among the `beam` likeliest of all; after `beam` of them a row is done, and leaves the
    batch. So a beam of one is `greedy`. The score of a hypothesis is its log-likelihood, in nats, divided by
    ((5 + length) / 6)^length_penalty, with EOS counted.

    Source: Wu et al., "Google's Neural Machine Translation System" (2016), equation 14, without its coverage penalty.

    Args:
        advance: reads BOS first.
        state: before BOS, of B rows.
        limit: int64 (B,), most tokens of each row, at least one; the last of them can only be EOS.
        beam: number of hypotheses.
        length_penalty: exponent, at least 0; the larger, the longer the sequences.

    Returns:
        int64 (B, T) as of `greedy`, and the scores, float32 (B,).

    Raises:
        ValueError: if there can be no such search.
    """
    if beam < 1:
        raise ValueError(f"beam is {beam}: choose at least 1")
    if not 0 <= length_penalty < float("inf"):
        raise ValueError(f"length_penalty is {length_penalty}: choose 0 or a positive number")
    device = limit.device
    search = _Search(_checked_limit(limit).cpu(), beam, length_penalty)
    last = torch.full_like(limit, BOS)
    while True:
        logits, state = advance(last.unsqueeze(1), state)
        rows, token = search.step(*_candidates(logits[:, -1], 2 * beam))
        if not len(rows):
            break
        state, last = state.select(rows.to(device)), token.to(device)
    length = int((search.best != PAD).sum(1).max())
    return search.best[:, :length].to(device), search.score.float().to(device)


def _candidates(logits: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """The n likeliest tokens of each row (R, V) and their log-likelihoods, (R, n) each; and that of EOS, (R,).

    Tokens are ordered by their logits, which tell apart what log-likelihoods in float32 may round together.
    """
    norm = logits.to(torch.promote_types(logits.dtype, torch.float32)).logsumexp(-1).cpu().double()
    value, token = _writable(logits).topk(min(n, logits.shape[-1]), -1)
    return token.cpu(), value.cpu().double() - norm.unsqueeze(1), logits[:, EOS].cpu().double() - norm


class _Search:
    """The bookkeeping of a beam search, on the host and in double precision.

    Attributes:
        best: int64 (B, L), the best hypothesis of each row so far; PAD fills it up.
        score: float64 (B,), its score.
    """

    def __init__(self, limit: Tensor, beam: int, length_penalty: float) -> None:
        self.best = torch.full((len(limit), int(limit.max())), PAD)
        self.score = torch.full((len(limit),), -torch.inf, dtype=torch.float64)
        self._limit, self._beam, self._length_penalty = limit, beam, length_penalty
        self._row = torch.arange(len(limit))  # (A,), rows that are not done
        self._total = torch.zeros(len(limit), 1, dtype=torch.float64)  # (A, K), log-likelihoods of what goes on
        self._written = torch.empty(len(limit), 1, 0, dtype=torch.int64)  # (A, K, t), and its tokens
        self._finished = torch.zeros(len(limit), dtype=torch.int64)  # (A,), hypotheses

    def step(self, token: Tensor, likelihood: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of all rows.

        Args:
            token: int64 (A * K, n), the likeliest continuations of each sequence that goes on.
            likelihood: float64 (A * K, n), their log-likelihoods.
            end: float64 (A * K,), the log-likelihood of EOS.

        Returns:
            What to go on with, K' of each row that is not done: places among the A * K, and the token written after
            each, int64 (A' * K',).
        """
        active, width = self._total.shape
        length = self._written.shape[2] + 1
        forced = self._limit[self._row] == length
        token, likelihood = token.view(active, width, -1), likelihood.view(active, width, -1).clone()
        n = token.shape[2]
        token[forced], likelihood[forced] = EOS, -torch.inf
        likelihood[forced, :, 0] = end.view(active, width)[forced]

        total = (self._total.unsqueeze(2) + likelihood).flatten(1)
        order = total.argsort(dim=1, descending=True, stable=True)[:, : 2 * self._beam]
        total, source, token = total.gather(1, order), order // n, token.flatten(1).gather(1, order)
        written = torch.cat((_along(self._written, source), token.unsqueeze(2)), 2)  # (A, C, t + 1)

        possible = total > -torch.inf
        ends = possible & (token == EOS)
        ends[:, self._beam :] = False
        self._finish(total / ((5 + length) / 6) ** self._length_penalty, ends, written)

        goes_on = possible & (token != EOS)
        total = total.masked_fill(~goes_on, -torch.inf)
        rows = (goes_on.any(1) & (self._finished < self._beam)).nonzero().squeeze(1)
        column = (~goes_on[rows]).long().argsort(dim=1, stable=True)[:, : self._beam]  # what goes on stands first
        self._row, self._finished = self._row[rows], self._finished[rows]
        self._total = total[rows].gather(1, column)
        self._written = _along(written[rows], column)
        places = rows.unsqueeze(1) * width + source[rows].gather(1, column)
        return places.flatten(), self._written[:, :, -1].flatten()

    def _finish(self, score: Tensor, ends: Tensor, written: Tensor) -> None:
        """Keep the best hypotheses of those that ended: scores and whether (A, C), tokens (A, C, t + 1)."""
        self._finished = self._finished + ends.sum(1)
        score, column = score.masked_fill(~ends, -torch.inf).max(1)
        better = score > self.score[self._row]
        rows = self._row[better]
        self.score[rows] = score[better]
        self.best[rows, : written.shape[2]] = _along(written, column.unsqueeze(1)).squeeze(1)[better]


def _along(written: Tensor, column: Tensor) -> Tensor:
    """Sequences (A, C, t) at columns (A, K)."""
    return written.gather(1, column.unsqueeze(2).expand(-1, -1, written.shape[2]))
