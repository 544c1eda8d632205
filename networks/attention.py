"""Attention: a weighted mean of values, with weights that come from how well queries and keys agree."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.positions import Rotation, rotate
from networks.sizes import check_least, check_share


def attention(
    q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None, causal: bool = False, dropout: float = 0.0
) -> Tensor:
    """Scaled dot-product attention: softmax(q k' / sqrt(D)) v.

    The causal rule counts from the end: the last query sees the last key. So it also holds for a few new queries
    before the keys of a longer past. (`is_causal` of PyTorch's own function counts from the beginning.)

    Source: Vaswani et al., "Attention Is All You Need" (2017), equation 1.

    Args:
        q: queries (B, H, T, D).
        k: keys (B, H, S, D).
        v: values (B, H, S, D).
        allowed: bool, broadcastable to (B, H, T, S); True where a query may attend to a key.
        causal: query t sees keys up to t + S - T only.
        dropout: share of the weights left out.

    Returns:
        (B, H, T, D); zeros for a query that may attend to nothing.
    """
    queries, keys = q.shape[-2], k.shape[-2]
    if causal and allowed is None and queries == keys:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    visible = _visible(q, k, allowed, causal)
    if visible is None:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    blind = ~visible.any(-1, keepdim=True)  # some backends give NaN for such rows: let them see all, and drop it
    return F.scaled_dot_product_attention(q, k, v, visible | blind, dropout_p=dropout).masked_fill(blind, 0.0)


def attention_weights(q: Tensor, k: Tensor, allowed: Tensor | None = None, causal: bool = False) -> Tensor:
    """The weights that `attention` gives to the values, in float32.

    Args:
        q: queries (B, H, T, D).
        k: keys (B, H, S, D).
        allowed: see `attention`.
        causal: see `attention`.

    Returns:
        (B, H, T, S); each row sums to one, or is zero where nothing may be attended to.
    """
    with torch.autocast(q.device.type, enabled=False):
        score = q.float() @ k.float().transpose(-2, -1) * q.shape[-1] ** -0.5
    visible = _visible(q, k, allowed, causal)
    return score.softmax(-1) if visible is None else masked_softmax(score, visible)


def masked_softmax(score: Tensor, allowed: Tensor) -> Tensor:
    """Softmax over what is allowed.

    Args:
        score: (..., S).
        allowed: bool, broadcastable to it.

    Returns:
        (..., S), zero where not allowed; a row that allows nothing is zero.
    """
    least = torch.finfo(score.dtype).min
    return score.masked_fill(~allowed, least).softmax(-1).masked_fill(~allowed, 0.0)


def _visible(q: Tensor, k: Tensor, allowed: Tensor | None, causal: bool) -> Tensor | None:
    """What each query may attend to, (..., T, S); None if all."""
    queries, keys = q.shape[-2], k.shape[-2]
    if not causal or queries == 1:
        return allowed
    past = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return past if allowed is None else past & allowed


class KeyValues(NamedTuple):
    """Keys and values of one layer.

    Attributes:
        key: (B, H, S, D).
        value: (B, H, S, D).
    """

    key: Tensor
    value: Tensor

    def select(self, rows: Tensor) -> Self:
        """Rows of the batch, int64 (R,), in their order."""
        return type(self)(self.key.index_select(0, rows), self.value.index_select(0, rows))

    def followed_by(self, later: "KeyValues") -> "KeyValues":
        """With more of them behind."""
        return KeyValues(torch.cat((self.key, later.key), 2), torch.cat((self.value, later.value), 2))


class AttentionModule(nn.Module):
    """Base of all modules that attend, so that what they attend to can be recorded.

    A subclass calls `recorder`, where it is not None, with its weights (B, H, T, S) each time it attends.
    """

    recorder: Callable[[Tensor], None] | None = None


@contextmanager
def recorded_attention(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record what the modules within one attend to while one batch passes.

    The outputs stay as they are. The weights are computed beside them, since fused kernels give none. Attention
    weights are recorded before dropout.

    Args:
        module: with `AttentionModule`s within, or one itself.

    Yields:
        Weights, float32 (B, H, T, S), by the path of the module that attended ("" if it is `module`), filled by the
        calls. Several calls of a module are steps of one sequence, and are joined along T; where S grew with them, the
        earlier steps have zeros behind.
    """
    recorded: dict[str, Tensor] = {}

    def recorder(path: str) -> Callable[[Tensor], None]:
        def record(weights: Tensor) -> None:
            weights = weights.detach().float()
            recorded[path] = _joined(recorded[path], weights) if path in recorded else weights

        return record

    found = [(path, part) for path, part in module.named_modules() if isinstance(part, AttentionModule)]
    before = [part.recorder for _, part in found]
    try:
        for path, part in found:
            part.recorder = recorder(path)
        yield recorded
    finally:
        for (_, part), earlier in zip(found, before, strict=True):
            part.recorder = earlier


def _joined(earlier: Tensor, later: Tensor) -> Tensor:
    width = max(earlier.shape[-1], later.shape[-1])
    return torch.cat([F.pad(weights, (0, width - weights.shape[-1])) for weights in (earlier, later)], 2)


class MultiHeadAttention(AttentionModule):
    """Several attentions side by side, each on its own projection of the sequence.

    Source: Vaswani et al. (2017), section 3.2.2.

    Args:
        dim: width of the sequence.
        heads: number of attentions, H; each has the width dim / H.
        dropout: share of the weights left out in training.
        bias: whether the projections have one.

    Raises:
        ValueError: if dim cannot be shared among the heads.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        check_least("dim", dim, 1)
        if heads < 1 or dim % heads:
            raise ValueError(f"heads is {heads}: choose a divisor of dim, {dim}")
        check_share("dropout", dropout)
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        allowed: Tensor | None = None,
        causal: bool = False,
        rotation: Rotation | None = None,
    ) -> Tensor:
        """Attend within a sequence, or from it to another.

        Args:
            x: (B, T, dim), gives the queries.
            context: (B, S, dim), gives keys and values; x if not given.
            allowed: bool, broadcastable to (B, H, T, S).
            causal: see `attention`.
            rotation: of the positions of x, for attention within it.

        Returns:
            (B, T, dim).
        """
        if context is not None:
            return self.attend(x, self.remember(context), allowed)
        return self.advance(x, None, allowed, causal, rotation)[0]

    def advance(
        self,
        x: Tensor,
        past: KeyValues | None = None,
        allowed: Tensor | None = None,
        causal: bool = True,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, KeyValues]:
        """Attend within a sequence whose beginning was seen before.

        Args:
            x: (B, T, dim), what is new.
            past: keys and values of P positions before; None at the beginning.
            allowed: bool, broadcastable to (B, H, T, P + T).
            causal: see `attention`.
            rotation: of the positions of x.

        Returns:
            (B, T, dim), and keys and values of all P + T positions.
        """
        q, k, v = self._by_head(self.qkv(x))
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        known = KeyValues(k, v) if past is None else past.followed_by(KeyValues(k, v))
        return self._attend(q, known, allowed, causal), known

    def remember(self, context: Tensor) -> KeyValues:
        """Keys and values of a sequence to be attended to many times, (B, S, dim)."""
        weight, bias = self._projection(1)
        k, v = self._by_head(F.linear(context, weight, bias))
        return KeyValues(k, v)

    def attend(self, x: Tensor, memory: KeyValues, allowed: Tensor | None = None) -> Tensor:
        """Attend from a sequence to one that is remembered.

        Args:
            x: (B, T, dim).
            memory: S keys and values from `remember`.
            allowed: bool, broadcastable to (B, H, T, S).

        Returns:
            (B, T, dim).
        """
        weight, bias = self._projection(0)
        (q,) = self._by_head(F.linear(x, weight, bias))
        return self._attend(q, memory, allowed, causal=False)

    def _projection(self, part: int) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the queries' projection (0), or of that of keys and values (1)."""
        parts = [self.out.in_features, 2 * self.out.in_features]
        weight, bias = self.qkv.weight, self.qkv.bias
        return torch.split(weight, parts)[part], None if bias is None else torch.split(bias, parts)[part]

    def _by_head(self, x: Tensor) -> list[Tensor]:
        """Projections that stand side by side, (B, T, n * dim) -> n of (B, H, T, D)."""
        batch, length, _ = x.shape
        return [
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in torch.split(x, self.out.in_features, -1)
        ]

    def _attend(self, q: Tensor, memory: KeyValues, allowed: Tensor | None, causal: bool) -> Tensor:
        k, v = memory
        if self.recorder is not None:
            self.recorder(attention_weights(q, k, allowed, causal))
        mean = attention(q, k, v, allowed, causal, self.dropout if self.training else 0.0)
        y: Tensor = self.out(mean.transpose(1, 2).flatten(2))  # (B, H, T, D) -> (B, T, dim)
        return y
