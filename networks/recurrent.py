"""Recurrent networks that write: a language model, and one that turns a sequence into another."""

from typing import Literal

from torch import Tensor, nn

from networks.embedding import ScaledEmbedding
from networks.recurrent_decoders import BahdanauDecoder, LuongDecoder, PlainDecoder, RecurrentState
from networks.recurrent_layers import Cell, RecurrentEncoder, RecurrentStack
from networks.sizes import check_least
from networks.tokens import PAD


class RecurrentLM(nn.Module):
    """Language model: recurrent layers.

    Args:
        vocab_size: number of tokens, V; supplied by the model.
        context: most tokens that training reads at once, which sets this network no limit; supplied by the model.
            Its own attribute `context` is None.
        dim: width of the embedding.
        hidden: width of each layer.
        layers: number of layers.
        dropout: share left out in training, of embeddings, between layers, and of what the output reads.
        cell: kind of layer.
        tied: whether embedding and output are one matrix; a linear layer goes before it if `hidden` is not `dim`.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int,
        dim: int = 128,
        hidden: int = 256,
        layers: int = 2,
        dropout: float = 0.0,
        cell: Cell = "lstm",
        tied: bool = False,
    ) -> None:
        super().__init__()
        check_least("context", context, 1)
        self.context: int | None = None
        self.embedding = ScaledEmbedding(vocab_size, dim, dropout)
        self.decoder = RecurrentStack(dim, hidden, layers, dropout, cell)
        self.dropout = nn.Dropout(dropout)
        self.bridge = nn.Linear(hidden, dim) if tied and hidden != dim else nn.Identity()
        self.output = nn.Linear(dim if tied else hidden, vocab_size)
        nn.init.zeros_(self.output.bias)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, token: Tensor) -> Tensor:
        """What follows each token of a text.

        Args:
            token: int64 (B, T), padding only on the right, where the logits mean nothing.

        Returns:
            Logits (B, T, V).
        """
        return self._logits(self.decoder(self.embedding(token))[0])

    def advance(self, token: Tensor, state: RecurrentState | None = None) -> tuple[Tensor, RecurrentState]:
        """What follows each token of a text whose beginning was read before.

        Padding may be anywhere: it does not move the state. The logits at it mean nothing.

        Args:
            token: int64 (B, T), what is new.
            state: after what was read before; None at the beginning.

        Returns:
            Logits (B, T, V), and the state after them.
        """
        before = None if state is None else state.hidden
        y, hidden = self.decoder.read_known(self.embedding(token), token != PAD, before)
        return self._logits(y), RecurrentState(hidden)

    def _logits(self, y: Tensor) -> Tensor:
        logits: Tensor = self.output(self.bridge(self.dropout(y)))
        return logits


class RecurrentSeq2Seq(nn.Module):
    """Turns a sequence into another: a recurrent encoder, and a recurrent decoder that may attend to the source.

    Sources: Sutskever, Vinyals and Le, "Sequence to Sequence Learning with Neural Networks" (2014), for `none`;
    Bahdanau, Cho and Bengio (2015) for `bahdanau`; Luong, Pham and Manning (2015) for `luong`. In all of them the
    decoder starts from where the encoder ended, through one layer with tanh (Bahdanau et al., appendix A.2.2).

    Args:
        vocab_size: number of tokens of both sequences together, V; supplied by the model.
        dim: width of the embedding.
        hidden: width of each layer, in the encoder of each direction.
        layers: number of layers of encoder and decoder each.
        dropout: share left out in training, of embeddings, between layers, and of what the output reads.
        cell: kind of layer.
        attention: `bahdanau` before each step of the decoder, which reads what was attended to; `luong` after it, which
            trains without a loop over steps; `none` for the last state of the encoder alone.
        bidirectional: whether the encoder reads in both directions.
        tied: whether the embeddings of source and target and the output are one matrix.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
        cell: Cell = "lstm",
        attention: Literal["bahdanau", "luong", "none"] = "bahdanau",
        bidirectional: bool = True,
        tied: bool = True,
    ) -> None:
        super().__init__()
        self.source_embedding = ScaledEmbedding(vocab_size, dim, dropout)
        self.target_embedding = ScaledEmbedding(vocab_size, dim, dropout)
        self.encoder = RecurrentEncoder(dim, hidden, layers, dropout, cell, bidirectional)
        decoders: dict[str, type[PlainDecoder | LuongDecoder | BahdanauDecoder]] = {
            "bahdanau": BahdanauDecoder,
            "luong": LuongDecoder,
            "none": PlainDecoder,
        }
        self.decoder = decoders[attention](dim, hidden, layers, dropout, cell, self.encoder.width)
        states = 2 if cell == "lstm" else 1
        self.bridge = nn.Linear(self.encoder.width, states * layers * hidden)
        self.first = (states, layers, hidden)
        self.output = nn.Linear(dim, vocab_size)
        nn.init.zeros_(self.output.bias)
        if tied:
            self.source_embedding.weight = self.output.weight = self.target_embedding.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """What follows each token of a target, given its source.

        Args:
            source: int64 (B, S), padding on the right.
            target: int64 (B, T), begins with BOS; padding only on the right, where the logits mean nothing.

        Returns:
            Logits (B, T, V).
        """
        return self.advance(target, self.start(source))[0]

    def start(self, source: Tensor) -> RecurrentState:
        """Read a source.

        Args:
            source: int64 (B, S), padding on the right.

        Returns:
            The state before the first token of the target.
        """
        known = source != PAD
        memory, last = self.encoder(self.source_embedding(source), known)
        hidden = self.bridge(last).tanh().view(-1, *self.first).permute(1, 2, 0, 3).contiguous()
        state = self.decoder.start(tuple(hidden), memory, known)
        return state

    def advance(self, token: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """What follows each token of a target whose beginning was read before.

        Args:
            token: int64 (B, T), what is new; the first is BOS.
            state: from `start`, or after what was read before.

        Returns:
            Logits (B, T, V), and the state after them.
        """
        y, after = self.decoder(self.target_embedding(token), state)
        return self.output(y), after
