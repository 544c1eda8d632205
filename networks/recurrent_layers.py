"""What recurrent networks are made from: layers that start well, an encoder, and two kinds of attention."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

from networks.attention import AttentionModule, masked_softmax
from networks.sizes import check_least, check_share

Cell = Literal["lstm", "gru"]

Hidden = tuple[Tensor, ...]
"""State of recurrent layers, (layers, B, hidden) each: output and cell of an LSTM, output alone of a GRU."""


class RecurrentStack(nn.Module):
    """Recurrent layers, one after the other, that start as `initialise_recurrent` says.

    Args:
        inputs: width of the input.
        hidden: width of each layer.
        layers: number of layers.
        dropout: share left out between layers in training.
        cell: kind of layer.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(self, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0, cell: Cell = "lstm") -> None:
        super().__init__()
        check_least("hidden", hidden, 1)
        check_least("layers", layers, 1)
        check_share("dropout", dropout)
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.cell = cell
        self.rnn = kind(inputs, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        initialise_recurrent(self.rnn, hidden)

    def forward(self, x: Tensor, hidden: Hidden | None = None) -> tuple[Tensor, Hidden]:
        """Read sequences.

        Args:
            x: (B, T, inputs).
            hidden: state before; zero if not given.

        Returns:
            (B, T, hidden) of the last layer, and the state of all layers after the last position.
        """
        if self.cell == "lstm":
            if torch.is_autocast_enabled("cpu"):  # whose LSTM has bfloat16 on processors with AVX-512 only
                with torch.autocast("cpu", enabled=False):
                    state = None if hidden is None else tuple(part.float() for part in hidden)
                    return cast("tuple[Tensor, Hidden]", self.rnn(x.float(), state))
            return cast("tuple[Tensor, Hidden]", self.rnn(x, hidden))
        y, last = self.rnn(x, None if hidden is None else hidden[0])
        return y, (last,)

    def read_known(self, x: Tensor, known: Tensor, hidden: Hidden | None = None) -> tuple[Tensor, Hidden]:
        """Read sequences with padding anywhere, which does not move the state.

        Args:
            x: (B, T, inputs).
            known: bool (B, T), False at padding.
            hidden: state before; zero if not given.

        Returns:
            (B, T, hidden), zero at padding, and the state of all layers after the last that is no padding.
        """
        length = known.sum(1)
        if hidden is None:
            width = self.rnn.hidden_size
            zero = x.new_zeros(self.rnn.num_layers, len(x), width)
            hidden = (zero, zero) if self.cell == "lstm" else (zero,)
        if x.shape[1] == 1:
            y, after = self(x, hidden)
        else:
            order = (~known).long().argsort(stable=True, dim=1)  # padding goes behind
            packed = nn.utils.rnn.pack_padded_sequence(
                x.gather(1, order.unsqueeze(-1).expand_as(x)),
                length.clamp(min=1).cpu(),  # a row of padding alone is put right below
                batch_first=True,
                enforce_sorted=False,
            )
            out, after = self(packed, hidden)
            y, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
            y = y.gather(1, order.argsort(1).unsqueeze(-1).expand_as(y))
        some = (length > 0).view(1, -1, 1)
        after = tuple(torch.where(some, new, old) for new, old in zip(after, hidden, strict=True))
        return y * known.unsqueeze(-1), after


def initialise_recurrent(module: nn.Module, hidden: int) -> None:
    """Orthogonal recurrent matrices, input matrices after Glorot and Bengio (2010), each gate by itself.

    Biases are zero, except that those of an LSTM's forget gate are one in sum, so that it forgets little at first.

    Sources: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks"
    (2014); Jozefowicz et al., "An Empirical Exploration of Recurrent Network Architectures" (2015), section 2.2.

    Args:
        module: of `nn.LSTM`, `nn.GRU`, or cells of these.
        hidden: width of the layers.
    """
    is_lstm = isinstance(module, nn.LSTM | nn.LSTMCell)
    for name, parameter in module.named_parameters():
        for gate in torch.split(parameter.detach(), hidden):
            if "weight_hh" in name:
                nn.init.orthogonal_(gate)
            elif "weight_ih" in name:
                nn.init.xavier_uniform_(gate)
            else:
                nn.init.zeros_(gate)
        if is_lstm and "bias_ih" in name:
            nn.init.ones_(parameter.detach()[hidden : 2 * hidden])  # input, forget, cell, output


class RecurrentEncoder(nn.Module):
    """Recurrent layers that read a sequence whose padding is on the right, forwards or in both directions.

    The backward direction reads each row from its own end: the row is turned around without its padding. This gives
    what packed sequences give, for an LSTM in half the time on CPU, and needs no lengths on the host.

    Args:
        inputs: width of the input.
        hidden: width of each layer and direction.
        layers: number of layers.
        dropout: share left out between layers in training.
        cell: kind of layer.
        bidirectional: read in both directions.

    Attributes:
        width: of what it gives, W.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int = 1,
        dropout: float = 0.0,
        cell: Cell = "lstm",
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        check_least("layers", layers, 1)
        check_share("dropout", dropout)
        self.width = 2 * hidden if bidirectional else hidden
        widths = [inputs, *[self.width] * (layers - 1)]
        self.forwards = nn.ModuleList(RecurrentStack(width, hidden, cell=cell) for width in widths)
        self.backwards = nn.ModuleList(RecurrentStack(width, hidden, cell=cell) for width in widths if bidirectional)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Read sequences.

        Args:
            x: (B, S, inputs).
            known: bool (B, S), False at padding, which is on the right.

        Returns:
            (B, S, W), which means nothing at padding; and (B, W), where each direction ended.
        """
        length = known.sum(1, keepdim=True)
        place = torch.arange(x.shape[1], device=x.device)
        turned = torch.where(known, length - 1 - place, place)  # its own inverse
        for i, forwards in enumerate(self.forwards):
            x = self.dropout(x) if i else x
            y, _ = forwards(x)
            if self.backwards:
                z, _ = self.backwards[i](_along(x, turned))
                y = torch.cat((y, _along(z, turned)), -1)
            x = y
        last = _along(x, (length - 1).clamp(min=0)).squeeze(1)
        if not self.backwards:
            return x, last
        half = self.width // 2
        return x, torch.cat((last[:, :half], x[:, 0, half:]), -1)


def _along(x: Tensor, place: Tensor) -> Tensor:
    """Entries of sequences (B, S, D) at places (B, T) of each."""
    return x.gather(1, place.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class AdditiveAttention(AttentionModule):
    """Attention whose scores come from a small network: v' tanh(W q + U m).

    Source: Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate" (2015),
    appendix A.1.2.

    Args:
        query_width: width of queries, Q.
        memory_width: width of the memory, W.
        width: of the small network's hidden layer, A.
    """

    def __init__(self, query_width: int, memory_width: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_width, width)
        self.key = nn.Linear(memory_width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, query: Tensor, key: Tensor, memory: Tensor, known: Tensor) -> Tensor:
        """Attend to a memory.

        Args:
            query: (B, T, Q).
            key: `self.key` of the memory, (B, S, A).
            memory: (B, S, W).
            known: bool (B, S), False at padding.

        Returns:
            (B, T, W).
        """
        score = self.score((self.query(query).unsqueeze(2) + key.unsqueeze(1)).tanh()).squeeze(-1)  # (B, T, S)
        return _mean(self, score, memory, known)


class GeneralAttention(AttentionModule):
    """Attention whose scores are a bilinear form: q' U m.

    Source: Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine Translation" (2015),
    equation 8, "general".

    Args:
        query_width: width of queries, Q.
        memory_width: width of the memory, W.
    """

    def __init__(self, query_width: int, memory_width: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory_width, query_width, bias=False)

    def forward(self, query: Tensor, key: Tensor, memory: Tensor, known: Tensor) -> Tensor:
        """Attend to a memory.

        Args:
            query: (B, T, Q).
            key: `self.key` of the memory, (B, S, Q).
            memory: (B, S, W).
            known: bool (B, S), False at padding.

        Returns:
            (B, T, W).
        """
        return _mean(self, query @ key.transpose(1, 2), memory, known)


def _mean(module: AttentionModule, score: Tensor, memory: Tensor, known: Tensor) -> Tensor:
    """Mean of a memory (B, S, W) with the softmax of scores (B, T, S) as weights."""
    weights = masked_softmax(score.float() if score.dtype.itemsize < 4 else score, known.unsqueeze(1))
    if module.recorder is not None:
        module.recorder(weights.unsqueeze(1))
    return weights.to(memory.dtype) @ memory
