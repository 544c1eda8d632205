"""Recurrent decoders: without attention, with attention after each step, and with attention before it."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from networks.recurrent_layers import (
    AdditiveAttention,
    Cell,
    GeneralAttention,
    Hidden,
    RecurrentStack,
    initialise_recurrent,
)
from networks.sizes import check_least, check_share


class RecurrentState(NamedTuple):
    """What a recurrent network keeps of what it read.

    Attributes:
        hidden: state of the layers, (layers, B, hidden) each.
        key: (B, S, A), what scores of the memory come from; None without attention.
        memory: (B, S, W), what the encoder made of the source; None without attention.
        known: bool (B, S), False at padding of the source; None without attention.
    """

    hidden: Hidden
    key: Tensor | None = None
    memory: Tensor | None = None
    known: Tensor | None = None

    def select(self, rows: Tensor) -> Self:
        """Rows of the batch, int64 (R,), in their order; a row may be asked for more than once."""
        return type(self)(
            tuple(part[:, rows] for part in self.hidden),
            *(None if part is None else part[rows] for part in (self.key, self.memory, self.known)),
        )


class PlainDecoder(nn.Module):
    """Knows of the source what its first state says.

    Source: Sutskever, Vinyals and Le, "Sequence to Sequence Learning with Neural Networks" (2014).

    Args:
        dim: width of the embedding, and of what it gives.
        hidden: width of each layer.
        layers: number of layers.
        dropout: share left out between layers, and of what it gives, in training.
        cell: kind of layer.
        memory_width: of what the encoder gives, which it does not read.
    """

    def __init__(self, dim: int, hidden: int, layers: int, dropout: float, cell: Cell, memory_width: int) -> None:
        super().__init__()
        self.rnn = RecurrentStack(dim, hidden, layers, dropout, cell)
        self.out = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def start(self, hidden: Hidden, memory: Tensor, known: Tensor) -> RecurrentState:
        """The state before the first token; see `RecurrentState` for the arguments."""
        return RecurrentState(hidden)

    def forward(self, x: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Read embedded tokens.

        Args:
            x: (B, T, dim).
            state: before them.

        Returns:
            (B, T, dim), and the state after them.
        """
        y, hidden = self.rnn(x, state.hidden)
        return self.dropout(self.out(y)), RecurrentState(hidden)


class LuongDecoder(nn.Module):
    """Attends to the memory after each step, so that all steps of a known target are computed at once.

    What is attended to is not fed to the next step.

    Source: Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine Translation" (2015),
    section 3.1, equation 5.

    Args:
        dim: width of the embedding, and of what it gives.
        hidden: width of each layer.
        layers: number of layers.
        dropout: share left out between layers, and of what it gives, in training.
        cell: kind of layer.
        memory_width: of what the encoder gives.
    """

    def __init__(self, dim: int, hidden: int, layers: int, dropout: float, cell: Cell, memory_width: int) -> None:
        super().__init__()
        self.rnn = RecurrentStack(dim, hidden, layers, dropout, cell)
        self.cross = GeneralAttention(hidden, memory_width)
        self.out = nn.Linear(memory_width + hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def start(self, hidden: Hidden, memory: Tensor, known: Tensor) -> RecurrentState:
        """The state before the first token; see `RecurrentState` for the arguments."""
        return RecurrentState(hidden, self.cross.key(memory), memory, known)

    def forward(self, x: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Read embedded tokens; see `PlainDecoder`."""
        y, hidden = self.rnn(x, state.hidden)
        context = self.cross(y, state.key, state.memory, state.known)
        return self.dropout(self.out(torch.cat((context, y), -1)).tanh()), state._replace(hidden=hidden)


class BahdanauDecoder(nn.Module):
    """Attends to the memory before each step, which reads what was attended to.

    What it gives is one layer with tanh on state, input and what was attended to, for the maxout layer of the paper.

    Source: Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate" (2015).

    Args:
        dim: width of the embedding, and of what it gives.
        hidden: width of each layer, and of the attention's.
        layers: number of layers; the first reads what was attended to, the last is what attends.
        dropout: share left out between layers, and of what it gives, in training.
        cell: kind of layer.
        memory_width: of what the encoder gives.
    """

    def __init__(self, dim: int, hidden: int, layers: int, dropout: float, cell: Cell, memory_width: int) -> None:
        super().__init__()
        check_least("hidden", hidden, 1)
        check_least("layers", layers, 1)
        check_share("dropout", dropout)
        kind = nn.LSTMCell if cell == "lstm" else nn.GRUCell
        widths = [dim + memory_width, *[hidden] * (layers - 1)]
        self.cells = nn.ModuleList(kind(width, hidden) for width in widths)
        for layer in self.cells:
            initialise_recurrent(layer, hidden)
        self.cross = AdditiveAttention(hidden, memory_width, hidden)
        self.out = nn.Linear(hidden + memory_width + dim, dim)
        self.dropout = nn.Dropout(dropout)

    def start(self, hidden: Hidden, memory: Tensor, known: Tensor) -> RecurrentState:
        """The state before the first token; see `RecurrentState` for the arguments."""
        return RecurrentState(hidden, self.cross.key(memory), memory, known)

    def forward(self, x: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Read embedded tokens; see `PlainDecoder`."""
        layers = [tuple(part[i] for part in state.hidden) for i in range(len(self.cells))]
        outputs, contexts = [], []
        for step in x.unbind(1):
            query = layers[-1][0].unsqueeze(1)
            context = self.cross(query, state.key, state.memory, state.known).squeeze(1)
            layers, y = self._step(torch.cat((step, context), -1), layers)
            outputs.append(y)
            contexts.append(context)
        hidden = tuple(torch.stack(part) for part in zip(*layers, strict=True))
        read = torch.cat((torch.stack(outputs, 1), torch.stack(contexts, 1), x), -1)
        return self.dropout(self.out(read).tanh()), state._replace(hidden=hidden)

    def _step(self, x: Tensor, layers: list[Hidden]) -> tuple[list[Hidden], Tensor]:
        """One step of all cells on an input (B, D); gives their states and the output of the last, (B, hidden)."""
        after: list[Hidden] = []
        for i, (cell, before) in enumerate(zip(self.cells, layers, strict=True)):
            x = self.dropout(x) if i else x
            after.append(cell(x, before) if len(before) > 1 else (cell(x, before[0]),))
            x = after[-1][0]
        return after, x
