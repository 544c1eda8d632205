"""A recurrent network that fills in what is masked in a text, read in both directions."""

from torch import Tensor, nn

from networks.embedding import ScaledEmbedding
from networks.recurrent_layers import Cell, RecurrentEncoder
from networks.sizes import check_least
from networks.tokens import PAD


class MaskedRecurrent(nn.Module):
    """Tells the tokens of a text of which some are masked: recurrent layers in both directions.

    It reads one token more than it says: number V stands for what is masked. The two directions meet after each layer,
    so that all but the first see both sides of a place.

    Source: Graves and Schmidhuber, "Framewise phoneme classification with bidirectional LSTM and other neural network
    architectures" (2005), for layers in both directions.

    Args:
        vocab_size: number of tokens, V; supplied by the model.
        context: most tokens that training reads at once, which sets this network no limit; supplied by the model.
            Its own attribute `context` is None.
        dim: width of the embedding.
        hidden: width of each layer and direction.
        layers: number of layers.
        dropout: share left out in training, of embeddings, between layers, and of what the output reads.
        cell: kind of layer.
        tied: whether embedding and output are one matrix; a linear layer goes before it if `2 hidden` is not `dim`.

    Attributes:
        width: of what it makes of each token, D = 2 hidden.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int | None,
        dim: int = 128,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.0,
        cell: Cell = "lstm",
        tied: bool = True,
    ) -> None:
        super().__init__()
        if context is not None:
            check_least("context", context, 1)
        self.context: int | None = None
        self.vocab_size = vocab_size
        self.embedding = ScaledEmbedding(vocab_size + 1, dim, dropout)
        self.encoder = RecurrentEncoder(dim, hidden, layers, dropout, cell)
        self.width = self.encoder.width
        self.dropout = nn.Dropout(dropout)
        self.bridge = nn.Linear(self.width, dim) if tied and self.width != dim else nn.Identity()
        output = nn.Linear(dim if tied else self.width, vocab_size + 1)
        nn.init.zeros_(output.bias)
        if tied:
            output.weight = self.embedding.weight
        self.output: nn.Module = output

    def encode(self, token: Tensor) -> Tensor:
        """What each token means beside the others.

        Args:
            token: int64 (B, T), at most V; PAD only on the right.

        Returns:
            (B, T, D); what stands at padding means nothing.
        """
        y: Tensor = self.encoder(self.embedding(token), token != PAD)[0]
        return y

    def decode(self, encoded: Tensor) -> Tensor:
        """Which token stood at a place, logits of those that can be said, (..., D) -> (..., V)."""
        logits: Tensor = self.output(self.bridge(self.dropout(encoded)))
        return logits[..., : self.vocab_size]

    def drop_output(self) -> None:
        """Take away what only `decode` needs; what is left can encode."""
        self.bridge = nn.Identity()
        self.output = nn.Identity()

    def forward(self, token: Tensor) -> Tensor:
        """Which token stands at each place of a text, int64 (B, T), at most V -> logits (B, T, V)."""
        return self.decode(self.encode(token))
