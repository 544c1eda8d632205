"""Transformers that write: a language model, and one that turns a sequence into another."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from networks.attention import KeyValues
from networks.embedding import TokenEmbedding
from networks.positions import Positions, RotaryPositions, positions_of
from networks.sizes import check_least
from networks.tokens import PAD
from networks.transformer_layers import (
    BlockOptions,
    FeedForwardActivation,
    Norm,
    TransformerDecoder,
    TransformerEncoder,
)


class TransformerState(NamedTuple):
    """What a decoder keeps of what it read, so that it reads nothing twice.

    Attributes:
        known: bool (B, P), False at padding, of the P tokens that were read.
        past: keys and values of each block; None before the first token.
        memory: keys and values of the source, of each block; empty in a language model.
        memory_known: bool (B, S), False at padding of the source; None in a language model.
    """

    known: Tensor
    past: tuple[KeyValues, ...] | None = None
    memory: tuple[KeyValues, ...] = ()
    memory_known: Tensor | None = None

    def select(self, rows: Tensor) -> Self:
        """Rows of the batch, int64 (R,), in their order; a row may be asked for more than once."""
        return type(self)(
            self.known[rows],
            None if self.past is None else tuple(pair.select(rows) for pair in self.past),
            tuple(pair.select(rows) for pair in self.memory),
            None if self.memory_known is None else self.memory_known[rows],
        )


class TransformerLM(nn.Module):
    """Language model: a causal transformer.

    Sources: Vaswani et al., "Attention Is All You Need" (2017); Radford et al., "Language Models are Unsupervised
    Multitask Learners" (2019), from which pre-norm and the smaller initial weights of what is added to the sequence
    are. All initial weights are drawn after Glorot, which depends on the width, and not with GPT-2's one deviation.

    Args:
        vocab_size: number of tokens, V; supplied by the model.
        context: most tokens that are read at once; supplied by the model.
        dim: width of the sequence.
        heads: attentions in each layer; a divisor of dim.
        layers: number of blocks.
        feedforward: width of the hidden layer of each block; see `BlockOptions`.
        dropout: share left out in training, of embeddings, attention weights, and what each layer adds.
        positions: how the network is told of positions.
        norm: kind of normalisation.
        activation: of the hidden layer of each block.
        norm_first: normalise what a layer reads (pre-norm), rather than the sum that it leaves (post-norm).
        tied: whether embedding and output are one matrix. That saves parameters where V is large; it begins with the
            guess that each token follows itself.
        bias: whether linear layers and layer normalisation have one.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int,
        dim: int = 128,
        heads: int = 4,
        layers: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.0,
        positions: Positions = "rotary",
        norm: Norm = "layer",
        activation: FeedForwardActivation = "gelu",
        norm_first: bool = True,
        tied: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_least("context", context, 1)
        options = BlockOptions(dim, heads, feedforward, dropout, norm, activation, norm_first, bias)
        self.context = context
        self.embedding = TokenEmbedding(vocab_size, dim, None if positions == "rotary" else positions, context, dropout)
        self.decoder = TransformerDecoder(options, layers)
        self.rotary = RotaryPositions(dim, heads) if positions == "rotary" else None
        self.output = output_layer(self.embedding, tied)

    def forward(self, token: Tensor) -> Tensor:
        """What follows each token of a text.

        Args:
            token: int64 (B, T), T at most `context`; padding only on the right, where the logits mean nothing.

        Returns:
            Logits (B, T, V).

        Raises:
            ValueError: if the text is too long.
        """
        return self._decode(token, torch.arange(token.shape[1], device=token.device), None, None)[0]

    def advance(self, token: Tensor, state: TransformerState | None = None) -> tuple[Tensor, TransformerState]:
        """What follows each token of a text whose beginning was read before.

        Padding may be anywhere: it is never attended to, and takes no position. The logits at it mean nothing.

        Args:
            token: int64 (B, T), what is new.
            state: after what was read before; None at the beginning.

        Returns:
            Logits (B, T, V), and the state after them.

        Raises:
            ValueError: if the text gets too long.
        """
        known = token != PAD
        if state is not None:
            known = torch.cat((state.known, known), 1)
        position = positions_of(known)[:, -token.shape[1] :]
        logits, past = self._decode(token, position, known, None if state is None else state.past)
        return logits, TransformerState(known, past)

    def _decode(
        self, token: Tensor, position: Tensor, known: Tensor | None, past: tuple[KeyValues, ...] | None
    ) -> tuple[Tensor, tuple[KeyValues, ...]]:
        check_length("token", token.shape[1] if known is None else known.shape[1], self.context)
        x = self.embedding(token, position)
        rotation = None if self.rotary is None else self.rotary(position, x)
        x, past = self.decoder(x, past, known, rotation)
        return self.output(x), past


class TransformerSeq2Seq(nn.Module):
    """Turns a sequence into another: an encoder, and a decoder that attends to what it made of the source.

    Source: Vaswani et al., "Attention Is All You Need" (2017). Rotary positions turn the attention within each
    sequence, not that from one to the other.

    Args:
        vocab_size: number of tokens of both sequences together, V; supplied by the model.
        dim: width of the sequences.
        heads: attentions in each layer; a divisor of dim.
        layers: number of blocks of the encoder.
        decoder_layers: number of blocks of the decoder; as many if not given.
        feedforward: width of the hidden layer of each block; see `BlockOptions`.
        dropout: share left out in training, of embeddings, attention weights, and what each layer adds.
        positions: how the network is told of positions.
        context: most tokens of a sequence; None for no limit, which learned positions cannot do.
        norm: kind of normalisation.
        activation: of the hidden layer of each block.
        norm_first: normalise what a layer reads (pre-norm), rather than the sum that it leaves (post-norm).
        tied: whether the embeddings of source and target and the output are one matrix.
        bias: whether linear layers and layer normalisation have one.

    Raises:
        ValueError: if a size or share is impossible.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        heads: int = 4,
        layers: int = 2,
        decoder_layers: int | None = None,
        feedforward: int | None = None,
        dropout: float = 0.0,
        positions: Positions = "sinusoidal",
        context: int | None = None,
        norm: Norm = "layer",
        activation: FeedForwardActivation = "relu",
        norm_first: bool = True,
        tied: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if context is not None:
            check_least("context", context, 1)
        if decoder_layers is not None:
            check_least("decoder_layers", decoder_layers, 1)
        options = BlockOptions(dim, heads, feedforward, dropout, norm, activation, norm_first, bias)
        added = None if positions == "rotary" else positions
        self.context = context
        self.source_embedding = TokenEmbedding(vocab_size, dim, added, context, dropout)
        self.target_embedding = TokenEmbedding(vocab_size, dim, added, context, dropout)
        self.encoder = TransformerEncoder(options, layers)
        self.decoder = TransformerDecoder(options, layers if decoder_layers is None else decoder_layers, cross=True)
        self.rotary = RotaryPositions(dim, heads) if positions == "rotary" else None
        self.output = output_layer(self.target_embedding, tied)
        if tied:
            self.source_embedding.token.weight = self.target_embedding.token.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """What follows each token of a target, given its source.

        Args:
            source: int64 (B, S), padding on the right.
            target: int64 (B, T), begins with BOS; padding only on the right, where the logits mean nothing.

        Returns:
            Logits (B, T, V).

        Raises:
            ValueError: if a sequence is too long.
        """
        state = self.start(source)
        position = torch.arange(target.shape[1], device=target.device)
        return self._decode(target, position, None, state)[0]

    def start(self, source: Tensor) -> TransformerState:
        """Read a source.

        Args:
            source: int64 (B, S), padding on the right.

        Returns:
            The state before the first token of the target.

        Raises:
            ValueError: if the source is too long.
        """
        check_length("source", source.shape[1], self.context)
        known = source != PAD
        position = torch.arange(source.shape[1], device=source.device)
        x = self.source_embedding(source, position)
        memory = self.encoder(x, known, None if self.rotary is None else self.rotary(position, x))
        return TransformerState(known[:, :0], None, self.decoder.remember(memory), known)

    def advance(self, token: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """What follows each token of a target whose beginning was read before.

        Args:
            token: int64 (B, T), what is new; the first is BOS.
            state: from `start`, or after what was read before.

        Returns:
            Logits (B, T, V), and the state after them.

        Raises:
            ValueError: if the target gets too long.
        """
        known = torch.cat((state.known, token != PAD), 1)
        position = positions_of(known)[:, -token.shape[1] :]
        logits, past = self._decode(token, position, known, state)
        return logits, state._replace(known=known, past=past)

    def _decode(
        self, token: Tensor, position: Tensor, known: Tensor | None, state: TransformerState
    ) -> tuple[Tensor, tuple[KeyValues, ...]]:
        check_length("target", token.shape[1] if known is None else known.shape[1], self.context)
        x = self.target_embedding(token, position)
        rotation = None if self.rotary is None else self.rotary(position, x)
        x, past = self.decoder(x, state.past, known, rotation, state.memory, state.memory_known)
        return self.output(x), past


def output_layer(embedding: TokenEmbedding, tied: bool) -> nn.Linear:
    """The layer from the decoder to logits, without bias.

    Args:
        embedding: of the decoder's tokens.
        tied: whether its matrix is that of the embedding (Press and Wolf, "Using the Output Embedding to Improve
            Language Models", 2017).
    """
    vocab_size, dim = embedding.token.weight.shape
    output = nn.Linear(dim, vocab_size, bias=False)
    if tied:
        output.weight = embedding.token.weight
    else:
        nn.init.normal_(output.weight, std=dim**-0.5)
    return output


def check_length(name: str, length: int, context: int | None) -> None:
    """Refuse a sequence that is too long.

    Raises:
        ValueError: if there are more tokens than `context`.
    """
    if context is not None and length > context:
        raise ValueError(f"{name} has {length} tokens: give at most context, {context}")
