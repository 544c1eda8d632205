"""Positions: what they are, and what depends on them."""

import math

import pytest
import torch

from networks import RotaryPositions, TokenEmbedding, rotate, rotation, sinusoids
from networks.positions import positions_of

F64 = torch.float64


def test_positions_leave_padding_out() -> None:
    known = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]).bool()
    expected = torch.tensor([[0, 0, 0, 1, 2], [0, 1, 2, 2, 2], [0, 0, 0, 1, 2], [0, 0, 0, 0, 0]])
    assert positions_of(known).equal(expected)


def test_sinusoids_are_those_of_the_paper() -> None:
    made = sinusoids(torch.tensor([[0, 3], [7, 100]]), 6, F64)
    assert made.shape == (2, 2, 6)
    for position, vector in zip([0, 3, 7, 100], made.view(4, 6).tolist(), strict=True):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            assert vector[2 * i] == pytest.approx(math.sin(angle))
            assert vector[2 * i + 1] == pytest.approx(math.cos(angle))


def test_rotary_products_depend_on_distance_alone() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=F64)

    def product(query: int, key: int) -> float:
        turned = [rotate(x, rotation(torch.tensor([place]), 8, F64)) for x, place in ((q, query), (k, key))]
        return (turned[0] * turned[1]).sum().item()

    assert product(0, 0) == pytest.approx((q * k).sum().item())
    for distance in (1, 5, 40):
        assert product(distance, 0) == pytest.approx(product(distance + 123, 123))
    assert product(5, 0) != pytest.approx(product(0, 5))
    assert len({round(product(distance, 0), 9) for distance in range(20)}) == 20


def test_rotation_keeps_lengths_and_precision() -> None:
    x = torch.randn(2, 3, 4, 8, dtype=torch.bfloat16)
    turned = rotate(x, RotaryPositions(24, 3)(torch.arange(4), x))
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned.float().norm(dim=-1), x.float().norm(dim=-1), rtol=0.02, atol=0.02)
    assert turned[:, :, 0].equal(x[:, :, 0])


def test_rows_may_have_positions_of_their_own() -> None:
    x = torch.randn(2, 3, 4, 8)
    position = torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]])
    turned = rotate(x, rotation(position, 8))
    for row in range(2):
        torch.testing.assert_close(turned[row : row + 1], rotate(x[row : row + 1], rotation(position[row], 8)))


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_embeddings_tell_positions_apart(positions: str) -> None:
    embedding = TokenEmbedding(9, 16, positions, context=12)
    token = torch.full((2, 5), 4)
    x = embedding(token, torch.arange(5))
    assert torch.cdist(x[0], x[0])[~torch.eye(5, dtype=torch.bool)].min() > 0.01
    torch.testing.assert_close(embedding(token, torch.arange(5).expand(2, 5)), x)
    torch.testing.assert_close(embedding(token[:, :1], torch.tensor([[3], [1]]))[:, 0], x[0, [3, 1]])


def test_embeddings_have_the_size_of_one_with_and_without_sinusoids() -> None:
    torch.manual_seed(0)
    token = torch.arange(4, 500).unsqueeze(0)
    here = torch.zeros(496, dtype=torch.int64)
    difference = TokenEmbedding(500, 64, "sinusoidal")(token, here) - sinusoids(here, 64)
    assert difference.std().item() == pytest.approx(1.0, rel=0.05)
    assert TokenEmbedding(500, 64)(token, here).std().item() == pytest.approx(1.0, rel=0.05)


def test_impossible_positions_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"^dim is 7: sinusoidal positions need an even number$"):
        TokenEmbedding(9, 7, "sinusoidal")
    with pytest.raises(ValueError, match=r"^context is None: learned positions need the number"):
        TokenEmbedding(9, 8, "learned")
    with pytest.raises(ValueError, match=r"^dim is 12: rotary positions need an even number for each of 4 heads$"):
        RotaryPositions(12, 4)
