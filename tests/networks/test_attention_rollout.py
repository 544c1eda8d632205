"""What reaches a place through all layers, by hand and by what has to hold."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from networks import rollout
from networks.attention_rollout import HeadFusion


def weights(layers: int, heads: int, length: int, seed: int, causal: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(layers, 2, heads, length, length, generator=generator)
    if causal:
        scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
    return list(scores.softmax(-1))


def test_two_layers_by_hand() -> None:
    lower = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]])  # mean 1/2 everywhere
    upper = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    # A'_1 = [[3/4, 1/4], [1/4, 3/4]], A'_2 = [[1, 0], [1/2, 1/2]]
    expected = torch.tensor([[[0.75, 0.25], [0.5, 0.5]]])
    torch.testing.assert_close(rollout([lower, upper]), expected)
    assert not torch.allclose(rollout([upper, lower]), expected)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.sampled_from(["mean", "max", "min"]), st.booleans())
def test_each_place_has_all_of_its_input(
    layers: int, heads: int, length: int, fusion: HeadFusion, causal: bool
) -> None:
    flow = rollout(weights(layers, heads, length, seed=layers, causal=causal), fusion)
    torch.testing.assert_close(flow.sum(-1), torch.ones(2, length))
    assert (flow >= 0).all()
    assert not causal or not flow.triu(1).any()


def test_all_that_goes_around_stays_where_it_is() -> None:
    assert torch.equal(rollout(weights(3, 2, 4, seed=0), residual=1.0)[0], torch.eye(4))
    only_attention = rollout(weights(2, 1, 4, seed=0), residual=0.0)
    lower, upper = weights(2, 1, 4, seed=0)
    torch.testing.assert_close(only_attention, upper[:, 0] @ lower[:, 0])


@pytest.mark.parametrize(("fusion", "row"), [("max", (0.8, 0.6)), ("min", (0.4, 0.2)), ("mean", (0.6, 0.4))])
def test_heads_become_one(fusion: HeadFusion, row: tuple[float, float]) -> None:
    heads = torch.tensor([[[[0.4, 0.6], [0.4, 0.6]], [[0.8, 0.2], [0.8, 0.2]]]])
    found = rollout([heads], fusion, residual=0.0)[0, 1]
    torch.testing.assert_close(found, torch.tensor(row) / sum(row))


@pytest.mark.parametrize("residual", [0.0, 0.5])
def test_a_place_that_attends_to_nothing_stays(residual: float) -> None:
    padded = weights(1, 2, 3, seed=0)[0]
    padded[:, :, 2] = 0
    assert torch.equal(rollout([padded, padded], residual=residual)[0, 2], torch.tensor([0.0, 0.0, 1.0]))


def test_half_precision_is_summed_in_full() -> None:
    half = [layer.bfloat16() for layer in weights(2, 2, 4, seed=0)]
    assert rollout(half).dtype == torch.float32


@pytest.mark.parametrize(
    ("layers", "arguments", "message"),
    [
        ([], {}, r"layers is \[\]: a rollout goes through at least one"),
        ([torch.ones(1, 1, 2, 2)], {"residual": 1.5}, r"residual is 1.5: it is a share, in \[0, 1\]"),
        ([torch.ones(1, 1, 2, 2)], {"fusion": "sum"}, "fusion is 'sum': choose mean, max or min"),
        ([torch.ones(1, 1, 2, 3)], {}, "layers are 2x3: a rollout needs attention of a sequence to itself"),
    ],
)
def test_what_cannot_be_rolled_out_is_one_clear_line(layers: list[Tensor], arguments: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=f"^{message}$"):
        rollout(layers, **arguments)
