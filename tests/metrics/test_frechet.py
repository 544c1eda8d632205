import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from metrics import FrechetDistance
from metrics.frechet import frechet_distance

generator = torch.Generator().manual_seed(0)
mixing = torch.randn(6, 6, generator=generator)
real = torch.randn(400, 6, generator=generator) @ mixing
generated = torch.randn(300, 6, generator=generator) * 0.7 + 0.3


def distance(real: torch.Tensor, generated: torch.Tensor, *sizes: int) -> float:
    metric = FrechetDistance(real.shape[1])
    for features, is_real in ((real, True), (generated, False)):
        for batch in features.split([*sizes, len(features) - sum(sizes)]):
            metric.update(batch, real=is_real)
    return metric.compute().item()


def by_scipy(real: torch.Tensor, generated: torch.Tensor) -> float:
    x, y = real.double().numpy(), generated.double().numpy()
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(first @ second).real
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(first + second - 2 * root))


@pytest.mark.parametrize("sizes", [(), (1, 7), (200,)])
def test_it_is_scipys_whatever_the_batches(sizes: tuple[int, ...]) -> None:
    assert distance(real, generated, *sizes) == pytest.approx(by_scipy(real, generated), rel=1e-9)
    assert distance(generated, real, *sizes) == pytest.approx(by_scipy(real, generated), rel=1e-9)


def test_gaussians_whose_axes_agree_have_a_closed_form() -> None:
    zero, one = torch.zeros(3), torch.ones(3)
    found = frechet_distance(zero, torch.diag(torch.tensor([1.0, 4.0, 9.0])), 2 * one, torch.eye(3))
    assert found.item() == pytest.approx(3 * 4 + 0 + 1 + 4)


@pytest.mark.parametrize("count", [3, 400])  # 3 examples have a singular covariance
def test_identical_sets_are_at_no_distance_and_shifted_ones_at_the_squared_shift(count: int) -> None:
    shift = torch.tensor([0.5, 0, 0, -2, 0, 1])
    x = real[:count].double()
    assert distance(x, x.flip(0)) == pytest.approx(0, abs=1e-8)
    assert distance(x, x + shift) == pytest.approx(shift.square().sum().item(), rel=1e-8)


def test_fewer_examples_than_features_give_a_finite_distance() -> None:
    x, y = torch.randn(2, 20, 128, generator=generator)
    assert 0 < distance(x, y) < 1000
    assert distance(torch.zeros(20, 128), torch.zeros(20, 128)) == 0
    to_a_point = x.mean(0).square().sum() + x.var(0).sum()
    assert distance(x, torch.zeros(20, 128)) == pytest.approx(to_a_point.item(), rel=1e-5)


def test_two_processes_measure_what_one_does() -> None:
    first, second = FrechetDistance(6), FrechetDistance(6)
    for metric, part, other in ((first, real[:50], generated[:250]), (second, real[50:], generated[250:])):
        metric.update(part, real=True)
        metric.update(other, real=False)
    first.merge_state(second)
    assert first.compute().item() == pytest.approx(distance(real, generated), rel=1e-12)


def test_what_is_not_finite_is_seen_and_what_is_too_few_refused() -> None:
    assert np.isnan(distance(real, torch.full((5, 6), torch.inf)))
    with pytest.raises(ValueError, match="400 real and 1 generated examples: it needs at least 2 of each"):
        distance(real, generated[:1])
