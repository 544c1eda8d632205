"""Where in its sequence a token stands, told to a network that would not know: three ways."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Positions = Literal["learned", "sinusoidal", "rotary"]
"""How a transformer is told of positions: by vectors added to embeddings, or by turning queries and keys (rotary)."""

LONGEST_WAVE = 10_000.0
"""The longest wavelength is about this times 2 pi positions, in both of the papers cited below."""


def positions_of(known: Tensor) -> Tensor:
    """Positions of tokens among those of their row that are no padding, wherever the padding is.

    Args:
        known: bool (B, T), False at padding.

    Returns:
        int64 (B, T), from 0; 0 also at padding before the first token.
    """
    return (known.cumsum(1) - 1).clamp(min=0)


def _angles(position: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Angles of slowing waves at positions, (..., T) -> (..., T, width / 2), in radians."""
    step = torch.arange(0, width, 2, device=position.device, dtype=dtype) / width
    return position.to(dtype).unsqueeze(-1) * LONGEST_WAVE**-step


def sinusoids(position: Tensor, dim: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sines and cosines of slowing waves, alternating.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.5.

    Args:
        position: int64 (..., T).
        dim: width, even.
        dtype: of the result.

    Returns:
        (..., T, dim).
    """
    angle = _angles(position, dim, dtype)
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)


def grid_sinusoids(height: int, width: int, dim: int) -> Tensor:
    """Sinusoids of the places of a grid: the first half of the entries tells the row, the second the column.

    Source: Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers" (2021), section 4.

    Args:
        height: rows.
        width: columns.
        dim: width of a vector; a multiple of 4.

    Returns:
        (height * width, dim), row by row.

    Raises:
        ValueError: if a half of the entries has no pairs.
    """
    if dim % 4:
        raise ValueError(f"dim is {dim}: sinusoidal positions of a grid need a multiple of 4")
    row = sinusoids(torch.arange(height), dim // 2).unsqueeze(1).expand(-1, width, -1)
    column = sinusoids(torch.arange(width), dim // 2).expand(height, -1, -1)
    return torch.cat((row, column), -1).flatten(0, 1)


class Rotation(NamedTuple):
    """By how much each pair of entries of queries and keys is turned.

    Attributes:
        cos: (T, D/2), or (B, 1, T, D/2) where the rows of a batch differ.
        sin: of the same shape.
    """

    cos: Tensor
    sin: Tensor


def rotation(position: Tensor, width: int, dtype: torch.dtype = torch.float32) -> Rotation:
    """The rotary embedding of positions.

    Args:
        position: int64 (T,), or (B, T) where the rows of a batch differ.
        width: of one head, D; even.
        dtype: of the result.
    """
    angle = _angles(position, width, dtype)
    if position.ndim == 2:
        angle = angle.unsqueeze(1)
    return Rotation(angle.cos(), angle.sin())


def rotate(x: Tensor, by: Rotation) -> Tensor:
    """Turn queries or keys, so that their products depend on the distance of their positions alone.

    Entry i makes a pair with entry i + D/2.

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021), equation 34.

    Args:
        x: (B, H, T, D).
        by: from `rotation`, of the T positions.

    Returns:
        (B, H, T, D) in the precision of x.
    """
    first, second = x.chunk(2, -1)
    turned = torch.cat((first * by.cos - second * by.sin, second * by.cos + first * by.sin), -1)
    return turned.to(x.dtype)


class RotaryPositions(nn.Module):
    """Makes the rotary embedding of positions.

    Args:
        dim: width of the sequence.
        heads: that it is shared among.

    Raises:
        ValueError: if the width of a head is odd.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.width = dim // heads
        if self.width % 2:
            raise ValueError(f"dim is {dim}: rotary positions need an even number for each of {heads} heads")

    def forward(self, position: Tensor, x: Tensor) -> Rotation:
        """Rotation of positions, int64 (T,) or (B, T), in the precision of a sequence x, but at least float32."""
        return rotation(position, self.width, torch.promote_types(x.dtype, torch.float32))
