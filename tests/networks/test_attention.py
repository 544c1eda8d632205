"""Attention against its formula, and what is recorded of it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from networks import AttentionModule, MultiHeadAttention, recorded_attention
from networks.attention import attention, attention_weights, masked_softmax

F64 = torch.float64


def tensors(queries: int, keys: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, 3, n, 4, dtype=F64, generator=generator) for n in (queries, keys, keys))


def by_hand(q: Tensor, k: Tensor, v: Tensor, may: Tensor) -> Tensor:
    """Sums written out, one query after the other."""
    out = torch.zeros_like(q)
    for b, h, t in torch.cartesian_prod(*(torch.arange(n) for n in q.shape[:3])).tolist():
        shares = [
            math.exp(sum(x * y for x, y in zip(q[b, h, t].tolist(), key.tolist(), strict=True)) / 2)
            if may[b, t, s]
            else 0.0
            for s, key in enumerate(k[b, h])
        ]
        for share, value in zip(shares, v[b, h], strict=True):
            out[b, h, t] += share / (sum(shares) or 1.0) * value
    return out


@given(
    queries=st.integers(1, 4),
    keys=st.integers(1, 5),
    causal=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 9),
)
def test_it_is_the_formula(queries: int, keys: int, causal: bool, masked: bool, seed: int) -> None:
    q, k, v = tensors(queries, keys, seed)
    may = torch.ones(2, queries, keys, dtype=torch.bool)
    allowed = None
    if masked:
        may &= torch.rand(2, queries, keys, generator=torch.Generator().manual_seed(seed)) < 0.6
        allowed = may.unsqueeze(1).clone()
    if causal:
        may &= torch.tensor([[s <= t + keys - queries for s in range(keys)] for t in range(queries)])
    expected = by_hand(q, k, v, may)
    torch.testing.assert_close(attention(q, k, v, allowed, causal), expected)
    weights = attention_weights(q, k, allowed, causal)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.double() @ v, expected, atol=1e-5, rtol=1e-4)
    assert not weights[~may.unsqueeze(1).expand_as(weights)].any()
    torch.testing.assert_close(weights.sum(-1), may.any(-1).float().unsqueeze(1).expand(-1, 3, -1))


def test_a_query_at_the_end_sees_the_whole_past() -> None:
    q, k, v = tensors(5, 5)
    whole = attention(q, k, v, causal=True)
    torch.testing.assert_close(attention(q[:, :, 4:], k, v, causal=True), whole[:, :, 4:])
    torch.testing.assert_close(attention(q[:, :, 2:], k, v, causal=True), whole[:, :, 2:])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16])
def test_rows_that_see_nothing_are_zero_and_have_no_gradient(causal: bool, dtype: torch.dtype) -> None:
    q, k, v = (x.to(dtype).requires_grad_() for x in tensors(3, 3))
    allowed = torch.tensor([[False, False, True], [False, False, False]]).view(2, 1, 1, 3)
    out = attention(q, k, v, allowed, causal)
    out.sum().backward()
    blind = torch.tensor([[causal, causal, False], [True, True, True]]).unsqueeze(1).expand(-1, 3, -1)
    assert not out[blind].any()
    assert out[~blind].all()
    for x in (q, k, v):
        assert x.grad.isfinite().all()
    assert not q.grad[blind].any()
    assert not v.grad[1].any()
    assert v.grad[0, :, 2].all()


def test_masked_softmax_forgets_what_is_not_allowed() -> None:
    score = torch.tensor([[1.0, 2.0, 100.0], [1.0, 2.0, 3.0]], requires_grad=True)
    weights = masked_softmax(score, torch.tensor([[True, True, False], [False, False, False]]))
    share = 1 / (1 + math.e)
    torch.testing.assert_close(weights, torch.tensor([[share, 1 - share, 0.0], [0.0, 0.0, 0.0]]))
    weights[0, 0].backward()
    assert score.grad.isfinite().all()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cross", [False, True])
def test_heads_agree_with_those_of_pytorch(bias: bool, cross: bool) -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(8, 2, bias=bias).double()
    theirs = nn.MultiheadAttention(8, 2, bias=bias, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.out_proj.weight.copy_(ours.out.weight)
        if bias:
            theirs.in_proj_bias.copy_(ours.qkv.bias)
            theirs.out_proj.bias.copy_(ours.out.bias)
    x, context = torch.randn(3, 4, 8, dtype=F64), torch.randn(3, 6, 8, dtype=F64)
    context = context if cross else x
    known = torch.arange(context.shape[1]) < torch.tensor([[2], [4], [3]])
    expected, weights = theirs(x, context, context, key_padding_mask=~known, average_attn_weights=False)
    with recorded_attention(ours) as recorded:
        y = ours(x, context if cross else None, known[:, None, None])
    torch.testing.assert_close(y, expected)
    assert list(recorded) == [""]
    torch.testing.assert_close(recorded[""], weights.float())


def test_a_cache_changes_nothing() -> None:
    layer = MultiHeadAttention(8, 2).double()
    x = torch.randn(2, 6, 8, dtype=F64)
    whole = layer(x, causal=True)
    first, past = layer.advance(x[:, :3])
    second, past = layer.advance(x[:, 3:5], past)
    third, past = layer.advance(x[:, 5:], past)
    torch.testing.assert_close(torch.cat((first, second, third), 1), whole)
    assert past.key.shape == (2, 2, 6, 4)
    swapped = past.select(torch.tensor([1, 0, 1]))
    assert swapped.value.equal(past.value[[1, 0, 1]])


def test_dropout_is_for_training_and_weights_are_recorded_before_it() -> None:
    layer = MultiHeadAttention(8, 2, dropout=0.5)
    x = torch.randn(2, 6, 8)
    assert not layer(x).equal(layer(x))
    with recorded_attention(layer) as recorded:
        layer(x)
    torch.testing.assert_close(recorded[""].sum(-1), torch.ones(2, 2, 6))
    layer.eval()
    assert layer(x).equal(layer(x))


def test_steps_are_recorded_one_below_the_other() -> None:
    net = nn.ModuleDict({"a": MultiHeadAttention(8, 2), "b": nn.Sequential(nn.Linear(8, 8))})
    layer = net["a"]
    x = torch.randn(2, 5, 8)
    with recorded_attention(net) as recorded:
        whole = layer(x, causal=True)
    with recorded_attention(net) as in_steps:
        _, past = layer.advance(x[:, :2])
        for t in range(2, 5):
            _, past = layer.advance(x[:, t : t + 1], past)
    torch.testing.assert_close(in_steps["a"], recorded["a"])
    assert not in_steps["a"].requires_grad
    assert layer.recorder is None
    torch.testing.assert_close(layer(x, causal=True), whole)


def test_recording_ends_with_an_error_too() -> None:
    layer = MultiHeadAttention(8, 2)
    with pytest.raises(RuntimeError), recorded_attention(layer):
        layer(torch.randn(1, 2, 9))
    assert layer.recorder is None
    assert isinstance(layer, AttentionModule)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 128, "heads": 3}, "heads is 3: choose a divisor of dim, 128"),
        ({"dim": 128, "heads": 0}, "heads is 0: choose a divisor of dim, 128"),
        ({"dim": 0, "heads": 1}, "dim is 0: choose at least 1"),
        ({"dim": 8, "heads": 2, "dropout": 1.0}, r"dropout is 1\.0: choose one in \[0, 1\)"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        MultiHeadAttention(**arguments)
