"""Tokens and their positions as vectors."""

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from networks.positions import sinusoids
from networks.sizes import check_least, check_share


class ScaledEmbedding(nn.Embedding):
    """Embeddings of variance one, from a matrix of variance 1 / dim, so that it can be that of the output as well.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.4.

    Args:
        vocab_size: number of tokens, V.
        dim: width.
        dropout: share of the entries left out in training.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(self, vocab_size: int, dim: int, dropout: float = 0.0) -> None:
        check_least("vocab_size", vocab_size, 1)
        check_least("dim", dim, 1)
        check_share("dropout", dropout)
        super().__init__(vocab_size, dim)
        nn.init.normal_(self.weight, std=dim**-0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: Tensor) -> Tensor:
        """Vectors of tokens, int64 (B, T) -> (B, T, dim)."""
        x: Tensor = self.dropout(super().forward(input) * sqrt(self.embedding_dim))
        return x


class TokenEmbedding(nn.Module):
    """A learned vector for each token, with one for its position added.

    Both have entries of about the same size: see `ScaledEmbedding`.

    Args:
        vocab_size: number of tokens, V.
        dim: width.
        positions: what is added; None for nothing.
        context: number of learned positions; other kinds have no limit.
        dropout: share of the entries left out in training.

    Raises:
        ValueError: if a size is impossible, or positions are to be learned and their number is not known.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        positions: Literal["learned", "sinusoidal"] | None = None,
        context: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_share("dropout", dropout)
        if positions == "sinusoidal" and dim % 2:
            raise ValueError(f"dim is {dim}: sinusoidal positions need an even number")
        if positions == "learned" and context is None:
            raise ValueError("context is None: learned positions need the number of tokens of the longest sequence")
        self.sinusoidal = positions == "sinusoidal"
        self.token = ScaledEmbedding(vocab_size, dim)
        self.position: nn.Embedding | None = None
        if positions == "learned" and context is not None:
            self.position = nn.Embedding(context, dim)
            nn.init.normal_(self.position.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, token: Tensor, position: Tensor) -> Tensor:
        """Vectors of tokens.

        Args:
            token: int64 (B, T).
            position: int64 (T,) or (B, T), of each token in its sequence, from 0.

        Returns:
            (B, T, dim).
        """
        x: Tensor = self.token(token)
        if self.sinusoidal:
            x = x + sinusoids(position, x.shape[-1], torch.promote_types(x.dtype, torch.float32)).to(x.dtype)
        if self.position is not None:
            x = x + self.position(position)
        dropped: Tensor = self.dropout(x)
        return dropped
