import math

import pytest
import torch

from metrics import ModeCoverage

STD = 0.02
angles = torch.arange(8) * (2 * math.pi / 8)
ring = torch.stack([angles.cos(), angles.sin()], 1)


def points(per_mode: list[int]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = ring.repeat_interleave(torch.tensor(per_mode), 0)
    return centres + STD * torch.randn(centres.shape, generator=generator)


def coverage(*batches: torch.Tensor) -> tuple[float, float]:
    metric = ModeCoverage(ring, STD)
    for batch in batches:
        metric.update(batch)
    found = metric.compute()
    return found.modes_covered.item(), found.high_quality.item()


def test_the_mixture_itself_covers_all_its_modes() -> None:
    modes, quality = coverage(points([2000] * 8))
    assert modes == 8
    assert quality == pytest.approx(1 - math.exp(-4.5), abs=0.003)  # Rayleigh: P(r <= 3 std)


def test_quality_is_counted_among_all_points() -> None:
    inside, outside = ring[:1] + torch.tensor([2.99 * STD, 0]), ring[:1] + torch.tensor([3.01 * STD, 0])
    assert coverage(inside, outside) == (1, 0.5)
    assert coverage(torch.zeros(10, 2)) == (0, 0)


@pytest.mark.parametrize(("stray", "covered"), [(9, 1), (10, 2)])
def test_a_mode_needs_a_tenth_of_its_fair_share(stray: int, covered: int) -> None:
    exact = ring.repeat_interleave(torch.tensor([800 - stray, stray, *[0] * 6]), 0)
    assert coverage(exact) == (covered, 1)


def test_order_batches_and_processes_do_not_matter() -> None:
    sample = points([100, 50, 3, 0, 7, 90, 1, 0])
    shuffled = sample[torch.randperm(len(sample), generator=torch.Generator().manual_seed(1))]
    assert coverage(*shuffled.split(13)) == coverage(sample)
    first, second = ModeCoverage(ring, STD), ModeCoverage(ring, STD)
    first.update(sample[:5])
    second.update(sample[5:])
    first.merge_state(second)
    assert tuple(value.item() for value in first.compute())[:2] == coverage(sample)


def test_a_mode_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="std is 0"):
        ModeCoverage(ring, 0.0)


def test_the_distance_to_the_mixture_sees_what_is_missing_and_what_is_blurred() -> None:
    modes = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    torch.manual_seed(0)
    label = torch.arange(40_000) % 4

    def distance(points: torch.Tensor) -> float:
        metric = ModeCoverage(modes, 0.1)
        metric.update(points)
        return metric.compute().mode_distance.item()

    good = modes[label] + 0.1 * torch.randn(40_000, 2)
    assert distance(good) < 0.01
    assert distance(good[label < 3]) == pytest.approx(0.25, abs=0.01)
    assert distance(good[label == 0]) == pytest.approx(0.75, abs=0.01)
    assert distance(torch.full((100, 2), 2.0)) == pytest.approx(1 - math.exp(-4.5))
    blurred = modes[label] + 0.3 * torch.randn(40_000, 2)  # 3 sigma are 1 sigma now
    assert distance(blurred) == pytest.approx(math.exp(-0.5) - math.exp(-4.5), abs=0.01)
