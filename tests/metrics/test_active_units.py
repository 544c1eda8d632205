import pytest
import torch

from metrics import ActiveUnits

scales = torch.tensor([0.0, 0.05, 0.09, 0.11, 0.5, 2.0])  # variances on both sides of 0.01


def means(count: int, offset: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(count, 6, generator=generator)
    return (z - z.mean(0)) / z.std(0, correction=0) * scales + offset


@pytest.mark.parametrize("offset", [0.0, -30.0])
@pytest.mark.parametrize("sizes", [[500], [1, 499], [300, 7, 193]])
def test_it_counts_the_variances_above_the_threshold(sizes: list[int], offset: float) -> None:
    mu = means(500, offset)
    metric = ActiveUnits(6)
    for batch in mu.split(sizes):
        metric.update(batch)
    assert metric.compute().item() == (mu.double().numpy().var(0) > 0.01).sum() == 3


@pytest.mark.parametrize(("threshold", "units"), [(1e-4, 5), (1.0, 1), (5.0, 0)])
def test_threshold(threshold: float, units: int) -> None:
    metric = ActiveUnits(6, threshold)
    metric.update(means(500))
    assert metric.compute().item() == units


def test_two_processes_count_as_one() -> None:
    # within each half no unit varies, between the halves all of them do
    first, second = ActiveUnits(3), ActiveUnits(3)
    first.update(torch.ones(10, 3))
    second.update(-torch.ones(30, 3))
    assert first.compute().item() == second.compute().item() == 0
    merged = ActiveUnits(3)
    merged.update(torch.ones(10, 3))
    merged.merge_state(second)
    assert merged.compute().item() == 3


def test_reset_forgets() -> None:
    metric = ActiveUnits(6)
    metric.update(100 * means(500))
    metric.reset()
    metric.update(means(500))
    assert metric.compute().item() == 3
