"""What transformers are stacked from: normalisation, feed-forward layers, blocks, and stacks of blocks."""

from math import sqrt
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from networks.attention import KeyValues, MultiHeadAttention
from networks.positions import Rotation
from networks.sizes import check_least, check_share

Norm = Literal["layer", "rms"]
FeedForwardActivation = Literal["relu", "gelu", "swiglu"]


class BlockOptions(NamedTuple):
    """What all blocks of a transformer share.

    Attributes:
        dim: width of the sequence.
        heads: attentions in each attention layer; a divisor of dim.
        feedforward: width of the hidden layer; if None 4 dim, and for swiglu, which has three matrices instead of two,
            8/3 dim rounded to a multiple of 8.
        dropout: share left out in training, of attention weights and of what each layer adds to the sequence.
        norm: normalisation by mean and deviation (layer), or by the root mean square (rms).
        activation: of the hidden layer.
        norm_first: normalise what a layer reads (pre-norm), rather than the sum that it leaves (post-norm).
        bias: whether linear layers and layer normalisation have one.
        drop_path: share of the examples that the layers of the highest block leave as they are, in training (stochastic
            depth); it rises linearly from 0 in the lowest block. Source: Huang et al., "Deep Networks with Stochastic
            Depth" (2016).
    """

    dim: int = 128
    heads: int = 4
    feedforward: int | None = None
    dropout: float = 0.0
    norm: Norm = "layer"
    activation: FeedForwardActivation = "gelu"
    norm_first: bool = True
    bias: bool = True
    drop_path: float = 0.0

    def at(self, place: int, layers: int) -> Self:
        """Options of the block at a place, from 0, of so many: with the `drop_path` of that block."""
        share = self.drop_path * place / (layers - 1) if layers > 1 else self.drop_path
        return self._replace(drop_path=share)

    @property
    def hidden(self) -> int:
        """Width of the hidden layer."""
        if self.feedforward is not None:
            return self.feedforward
        return max(8, 8 * round(self.dim / 3)) if self.activation == "swiglu" else 4 * self.dim

    def make_norm(self) -> nn.Module:
        """One normalisation layer."""
        return nn.LayerNorm(self.dim, bias=self.bias) if self.norm == "layer" else nn.RMSNorm(self.dim, eps=1e-6)


class FeedForward(nn.Module):
    """Two linear layers at each position, with an activation between them.

    With `swiglu` the hidden layer is a product, silu(a) b, of two linear ones. Source: Shazeer, "GLU Variants Improve
    Transformer" (2020).

    Args:
        options: of the block.
    """

    def __init__(self, options: BlockOptions) -> None:
        super().__init__()
        check_least("feedforward", options.hidden, 1)
        self.activation = options.activation
        gates = 2 if options.activation == "swiglu" else 1
        self.hidden = nn.Linear(options.dim, gates * options.hidden, bias=options.bias)
        self.out = nn.Linear(options.hidden, options.dim, bias=options.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Each position by itself, (B, T, dim) -> (B, T, dim)."""
        hidden: Tensor = self.hidden(x)
        if self.activation == "swiglu":
            gate, value = hidden.chunk(2, -1)
            hidden = F.silu(gate) * value
        else:
            hidden = F.relu(hidden) if self.activation == "relu" else F.gelu(hidden)
        y: Tensor = self.out(hidden)
        return y


class Residual(nn.Module):
    """Normalisation, dropout and stochastic depth around a layer whose output is added to its input.

    Args:
        options: of the block; its `drop_path` is that of this block.
    """

    def __init__(self, options: BlockOptions) -> None:
        super().__init__()
        self.norm_first = options.norm_first
        self.norm = options.make_norm()
        self.dropout = nn.Dropout(options.dropout)
        self.drop_path = options.drop_path

    def read(self, x: Tensor) -> Tensor:
        """What the layer reads of a sequence (B, T, dim)."""
        normal: Tensor = self.norm(x) if self.norm_first else x
        return normal

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """The sequence (B, T, dim) with the output of the layer, of the same shape, added."""
        total: Tensor = x + stochastic_depth(self.dropout(y), self.drop_path, "row", self.training)
        if not self.norm_first:
            total = self.norm(total)
        return total


class TransformerBlock(nn.Module):
    """Attention within a sequence, attention to a memory if asked for, and a feed-forward layer.

    Args:
        options: of the block; its `drop_path` is that of this block.
        cross: whether it attends to a memory.
    """

    def __init__(self, options: BlockOptions, cross: bool = False) -> None:
        super().__init__()
        dim, heads, dropout, bias = options.dim, options.heads, options.dropout, options.bias
        self.attention = MultiHeadAttention(dim, heads, dropout, bias)
        self.around_attention = Residual(options)
        self.cross = MultiHeadAttention(dim, heads, dropout, bias) if cross else None
        self.around_cross = Residual(options) if cross else None
        self.feedforward = FeedForward(options)
        self.around_feedforward = Residual(options)

    def forward(
        self,
        x: Tensor,
        past: KeyValues | None = None,
        allowed: Tensor | None = None,
        causal: bool = False,
        rotation: Rotation | None = None,
        memory: KeyValues | None = None,
        memory_allowed: Tensor | None = None,
    ) -> tuple[Tensor, KeyValues]:
        """One step of the stack; see `TransformerEncoder` and `TransformerDecoder` for the arguments.

        Returns:
            The sequence (B, T, dim), and the keys and values within it, those of the past first.
        """
        y, known = self.attention.advance(self.around_attention.read(x), past, allowed, causal, rotation)
        x = self.around_attention.add(x, y)
        if self.cross is not None and self.around_cross is not None:
            assert memory is not None, "a block with cross-attention is given a memory"
            x = self.around_cross.add(x, self.cross.attend(self.around_cross.read(x), memory, memory_allowed))
        x = self.around_feedforward.add(x, self.feedforward(self.around_feedforward.read(x)))
        return x, known


class TransformerStack(nn.Module):
    """Blocks, one after the other, and the last normalisation that pre-norm blocks need.

    Args:
        options: of the blocks.
        layers: number of blocks.
        cross: whether the blocks attend to a memory.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(self, options: BlockOptions, layers: int, cross: bool) -> None:
        super().__init__()
        check_least("layers", layers, 1)
        check_share("dropout", options.dropout)
        check_share("drop_path", options.drop_path)
        self.blocks = nn.ModuleList(TransformerBlock(options.at(place, layers), cross) for place in range(layers))
        self.norm = options.make_norm() if options.norm_first else nn.Identity()
        additions = layers * (3 if cross else 2)
        for name, layer in self.named_modules():
            if not isinstance(layer, nn.Linear):
                continue
            rows = options.dim if name.endswith(".qkv") else len(layer.weight)  # each projection by itself
            gain = 1 / sqrt(additions) if options.norm_first and name.endswith(".out") else 1.0
            for matrix in torch.split(layer.weight.detach(), rows):
                nn.init.xavier_uniform_(matrix, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class TransformerEncoder(TransformerStack):
    """Blocks in which each position attends to all: for texts to be understood, masked texts, and patches of images.

    Args:
        options: of the blocks.
        layers: number of blocks.
    """

    def __init__(self, options: BlockOptions, layers: int) -> None:
        super().__init__(options, layers, cross=False)

    def forward(self, x: Tensor, known: Tensor | None = None, rotation: Rotation | None = None) -> Tensor:
        """Encode embedded sequences.

        Args:
            x: (B, T, dim).
            known: bool (B, T), False at padding, which is not attended to; None if there is none.
            rotation: rotary embedding of the positions; None for other kinds.

        Returns:
            (B, T, dim); what stands at padding means nothing.
        """
        allowed = None if known is None else known[:, None, None]
        for block in self.blocks:
            x, _ = block(x, allowed=allowed, rotation=rotation)
        y: Tensor = self.norm(x)
        return y


class TransformerDecoder(TransformerStack):
    """Blocks in which each position attends to itself and those before, and to a memory if asked for.

    Args:
        options: of the blocks.
        layers: number of blocks.
        cross: whether the blocks attend to a memory.
    """

    def __init__(self, options: BlockOptions, layers: int, cross: bool = False) -> None:
        super().__init__(options, layers, cross)

    def remember(self, memory: Tensor) -> tuple[KeyValues, ...]:
        """Keys and values of a memory (B, S, dim) for each block; empty without cross-attention."""
        remembered = []
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            if block.cross is not None:
                remembered.append(block.cross.remember(memory))
        return tuple(remembered)

    def forward(
        self,
        x: Tensor,
        past: tuple[KeyValues, ...] | None = None,
        known: Tensor | None = None,
        rotation: Rotation | None = None,
        memory: tuple[KeyValues, ...] = (),
        memory_known: Tensor | None = None,
    ) -> tuple[Tensor, tuple[KeyValues, ...]]:
        """Decode embedded sequences, or what follows after a past.

        Args:
            x: (B, T, dim).
            past: keys and values of P positions before, of each block; None at the beginning.
            known: bool (B, P + T), False at padding, which is not attended to; None if there is none, or it is behind
                all that matters.
            rotation: rotary embedding of the T positions; None for other kinds.
            memory: keys and values of each block, from `remember`.
            memory_known: bool (B, S), False at padding of the memory; None if there is none.

        Returns:
            (B, T, dim), and keys and values of all P + T positions, of each block.
        """
        allowed = None if known is None else known[:, None, None]
        memory_allowed = None if memory_known is None else memory_known[:, None, None]
        seen = []
        for i, block in enumerate(self.blocks):
            before = None if past is None else past[i]
            remembered = memory[i] if memory else None
            x, pair = block(x, before, allowed, True, rotation, remembered, memory_allowed)
            seen.append(pair)
        return self.norm(x), tuple(seen)
