"""A transformer that fills in what is masked in a text, with both sides in view."""

import torch
from torch import Tensor, nn

from networks.embedding import TokenEmbedding
from networks.positions import Positions, RotaryPositions
from networks.sizes import check_least
from networks.tokens import PAD
from networks.transformer import check_length, output_layer
from networks.transformer_layers import BlockOptions, FeedForwardActivation, Norm, TransformerEncoder


class MaskedTransformer(nn.Module):
    """Tells the tokens of a text of which some are masked: a transformer in which each place attends to all.

    It reads one token more than it says: number V stands for what is masked.

    Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019).
    Blocks, positions and the start of the weights are those of `TransformerLM`.

    Args:
        vocab_size: number of tokens, V; supplied by the model.
        context: most tokens that are read at once, None for no limit, which learned positions cannot do; supplied by
            the model.
        dim: width of the sequence.
        heads: attentions in each layer; a divisor of dim.
        layers: number of blocks.
        feedforward: width of the hidden layer of each block; see `BlockOptions`.
        dropout: share left out in training, of embeddings, attention weights, and what each layer adds.
        positions: how the network is told of positions.
        norm: kind of normalisation.
        activation: of the hidden layer of each block.
        norm_first: normalise what a layer reads (pre-norm), rather than the sum that it leaves (post-norm).
        tied: whether embedding and output are one matrix.
        bias: whether linear layers and layer normalisation have one.

    Attributes:
        width: of what it makes of each token, D.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int | None,
        dim: int = 128,
        heads: int = 4,
        layers: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.0,
        positions: Positions = "rotary",
        norm: Norm = "layer",
        activation: FeedForwardActivation = "gelu",
        norm_first: bool = True,
        tied: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if context is not None:
            check_least("context", context, 1)
        options = BlockOptions(dim, heads, feedforward, dropout, norm, activation, norm_first, bias)
        added = None if positions == "rotary" else positions
        self.context = context
        self.width = dim
        self.vocab_size = vocab_size
        self.embedding = TokenEmbedding(vocab_size + 1, dim, added, context, dropout)
        self.encoder = TransformerEncoder(options, layers)
        self.rotary = RotaryPositions(dim, heads) if positions == "rotary" else None
        self.output: nn.Module = output_layer(self.embedding, tied)

    def encode(self, token: Tensor) -> Tensor:
        """What each token means beside the others.

        Args:
            token: int64 (B, T), at most V; T at most `context`. PAD may be anywhere, but takes its position.

        Returns:
            (B, T, D); what stands at padding means nothing.

        Raises:
            ValueError: if the text is too long.
        """
        check_length("token", token.shape[1], self.context)
        position = torch.arange(token.shape[1], device=token.device)
        x = self.embedding(token, position)
        y: Tensor = self.encoder(x, token != PAD, None if self.rotary is None else self.rotary(position, x))
        return y

    def decode(self, encoded: Tensor) -> Tensor:
        """Which token stood at a place, logits of those that can be said, (..., D) -> (..., V)."""
        logits: Tensor = self.output(encoded)
        return logits[..., : self.vocab_size]

    def drop_output(self) -> None:
        """Take away what only `decode` needs; what is left can encode."""
        self.output = nn.Identity()

    def forward(self, token: Tensor) -> Tensor:
        """Which token stands at each place of a text, int64 (B, T), at most V -> logits (B, T, V).

        Raises:
            ValueError: if the text is too long.
        """
        return self.decode(self.encode(token))
