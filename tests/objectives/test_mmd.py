from itertools import product
from math import exp

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from objectives import BANDWIDTHS, mmd


def drawn(seed: int, *shape: int, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    return mean + deviation * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared(x: list[float], y: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def by_loops(source: Tensor, target: Tensor, estimator: str) -> float:
    """From Gretton et al. (2012), an example at a time."""
    xs, ys = source.tolist(), target.tolist()
    pool = xs + ys
    apart = [squared(pool[i], pool[j]) for i, j in product(range(len(pool)), repeat=2) if i != j]
    s = sum(apart) / len(apart)

    def k(x: list[float], y: list[float]) -> float:
        return sum(exp(-squared(x, y) / (b * s)) for b in (0.125, 0.25, 0.5, 1, 2))

    m, n = len(xs), len(ys)
    if estimator == "linear":
        terms = [
            k(xs[i], xs[i + 1]) + k(ys[i], ys[i + 1]) - k(xs[i], ys[i + 1]) - k(xs[i + 1], ys[i])
            for i in range(0, m - 1, 2)
        ]
        return sum(terms) / len(terms)
    same = estimator == "biased"
    xx = [k(xs[i], xs[j]) for i, j in product(range(m), repeat=2) if same or i != j]
    yy = [k(ys[i], ys[j]) for i, j in product(range(n), repeat=2) if same or i != j]
    xy = [k(x, y) for x, y in product(xs, ys)]
    return sum(xx) / len(xx) + sum(yy) / len(yy) - 2 * sum(xy) / len(xy)


@pytest.mark.parametrize(
    ("estimator", "sizes"),
    [(estimator, sizes) for estimator in ("biased", "unbiased", "linear") for sizes in ((6, 6), (7, 7))]
    + [("biased", (5, 8)), ("unbiased", (5, 8))],
)
def test_it_is_its_definition(estimator: str, sizes: tuple[int, int]) -> None:
    source, target = drawn(0, sizes[0], 3), drawn(1, sizes[1], 3, mean=1, deviation=2)
    expected = by_loops(source, target, estimator)
    assert mmd(source, target, estimator=estimator).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "linear"])
def test_two_point_masses(estimator: str) -> None:
    """All distances within are 0 and all between are 4: the kernels are 1 and exp(-4 / (b s))."""
    source, target = torch.zeros(2, 4, dtype=torch.float64), torch.ones(2, 4, dtype=torch.float64)
    s = 4 * 8 / 12  # 8 of the 12 ordered pairs of different examples are between the domains
    expected = sum(2 - 2 * exp(-4 / (b * s)) for b in BANDWIDTHS)
    assert mmd(source, target, estimator=estimator).item() == pytest.approx(expected)
    one = mmd(source, target, bandwidths=[3.0], estimator=estimator, scale=2.0)
    assert one.item() == pytest.approx(2 - 2 * exp(-4 / 6))


@pytest.mark.parametrize("estimator", ["unbiased", "linear"])
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (0.7, 1.0), (0.0, 1.8)])
def test_on_average_it_is_that_of_the_two_distributions(estimator: str, mean: float, deviation: float) -> None:
    dim, scale, bandwidths, draws = 3, 2.0, (0.5, 2.0), 1000

    def expected_kernel(apart: float, variance: float) -> float:
        """Of independent normals: in each dimension the Gaussian integral (g / (g + 2 v))^1/2 exp(-a^2 / (g + 2 v))."""
        total = 0.0
        for b in bandwidths:
            g = b * scale
            total += (g / (g + 2 * variance)) ** (dim / 2) * exp(-dim * apart**2 / (g + 2 * variance))
        return total

    population = (
        expected_kernel(0, 2) + expected_kernel(0, 2 * deviation**2) - 2 * expected_kernel(mean, 1 + deviation**2)
    )
    x, y = drawn(0, draws, 8, dim), drawn(1, draws, 8, dim, mean=mean, deviation=deviation)
    found = torch.stack([mmd(a, b, bandwidths, estimator, scale) for a, b in zip(x, y, strict=True)])
    assert found.mean().item() == pytest.approx(population, abs=4 * found.std().item() / draws**0.5)
    assert found.std() / draws**0.5 < 0.02
    if (mean, deviation) == (0.0, 1.0):
        assert population == pytest.approx(0)
        assert found.min() < 0  # or it could not be unbiased


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(0, 1000), st.floats(0, 3))
def test_the_biased_estimate_is_a_distance(n: int, m: int, dim: int, seed: int, mean: float) -> None:
    source, target = drawn(seed, n, dim), drawn(seed + 1, m, dim, mean=mean)
    there, back = mmd(source, target), mmd(target, source)
    assert there >= -1e-12
    assert there <= 2 * len(BANDWIDTHS)
    torch.testing.assert_close(there, back)
    torch.testing.assert_close(mmd(source, source), torch.zeros((), dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(mmd(1000 * source, 1000 * target), there)  # the bandwidth goes with the features


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "linear"])
def test_gradients(estimator: str) -> None:
    source, target = drawn(0, 4, 2).requires_grad_(), drawn(1, 4, 2, mean=1).requires_grad_()
    # with the scale from the examples the gradient is not that of the value: it is a constant to the gradient
    assert torch.autograd.gradcheck(lambda x, y: mmd(x, y, (0.5, 2.0), estimator, 1.5), (source, target))
    s = torch.cdist(torch.cat([source, target]), torch.cat([source, target])).square().sum().item() / (8 * 7)
    given, taken = (
        torch.autograd.grad(mmd(source, target, (0.5,), estimator, scale), source)[0] for scale in (s, None)
    )
    torch.testing.assert_close(taken, given)


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "linear"])
def test_descending_it_brings_the_domains_together(estimator: str) -> None:
    source, target = drawn(0, 256, 2), drawn(1, 256, 2, mean=2)
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=0.2)
    for _ in range(40):
        optimizer.zero_grad()
        mmd(source, target + shift, estimator=estimator).backward()
        optimizer.step()
    torch.testing.assert_close(shift.detach(), torch.full_like(shift, -2), atol=0.4, rtol=0)


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "linear"])
def test_features_that_are_all_equal_are_at_no_distance(estimator: str) -> None:
    source, target = (torch.full((4, 3), 0.7, requires_grad=True) for _ in range(2))
    value = mmd(source, target, estimator=estimator)
    value.backward()
    assert value == 0
    assert source.grad is not None
    assert source.grad.isfinite().all()


def test_features_far_from_the_origin_lose_no_digits() -> None:
    source, target = drawn(0, 32, 3).round(decimals=2), drawn(1, 32, 3, mean=1).round(decimals=2)
    far = mmd((source + 4000).float(), (target + 4000).float())
    torch.testing.assert_close(far, mmd(source, target).float(), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("arguments", "sizes", "start"),
    [
        ({"estimator": "exact"}, (4, 4), "estimator is 'exact':"),
        ({"bandwidths": []}, (4, 4), r"bandwidths is \[\]:"),
        ({"bandwidths": [1.0, 0.0]}, (4, 4), r"bandwidths is \[1\.0, 0\.0\]:"),
        ({"estimator": "unbiased"}, (1, 4), "estimator is 'unbiased':"),
        ({"estimator": "linear"}, (4, 1), "estimator is 'linear':"),
        ({"estimator": "linear"}, (4, 6), "estimator is 'linear':"),
    ],
)
def test_what_cannot_be_estimated_is_one_clear_line(
    arguments: dict[str, object], sizes: tuple[int, int], start: str
) -> None:
    with pytest.raises(ValueError, match=start) as error:
        mmd(torch.zeros(sizes[0], 2), torch.zeros(sizes[1], 2), **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
