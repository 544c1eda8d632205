import numpy as np
import pytest
import torch

from metrics import PrecisionRecall

generator = torch.Generator().manual_seed(0)
real = torch.randn(150, 2, generator=generator)
generated = 0.5 * torch.randn(100, 2, generator=generator) + torch.tensor([1.0, 0.0])


def scores(real: torch.Tensor, generated: torch.Tensor, neighbours: int = 3) -> tuple[float, float]:
    metric = PrecisionRecall(neighbours)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    found = metric.compute()
    return found.precision.item(), found.recall.item()


def one_by_one(real: torch.Tensor, generated: torch.Tensor, neighbours: int) -> tuple[float, float]:
    def share(a: np.ndarray, b: np.ndarray) -> float:
        radii = [sorted(np.linalg.norm(y - z) for z in b)[neighbours] for y in b]
        return float(np.mean([any(np.linalg.norm(x - y) <= r for y, r in zip(b, radii, strict=True)) for x in a]))

    x, y = real.double().numpy(), generated.double().numpy()
    return share(y, x), share(x, y)


@pytest.mark.parametrize("neighbours", [1, 3, 10])
def test_it_is_what_counting_one_by_one_gives(neighbours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = one_by_one(real, generated, neighbours)
    assert 0 < expected[1] < expected[0] <= 1
    assert scores(real, generated, neighbours) == pytest.approx(expected)
    monkeypatch.setattr("metrics.two_sets.CHUNK", 7)
    assert scores(real, generated, neighbours) == pytest.approx(expected)


def test_identical_sets_also_of_repeated_examples_are_inside_one_another() -> None:
    assert scores(real, real.flip(0)) == (1, 1)
    repeated = real[:10].repeat(5, 1) + 100
    assert scores(repeated, repeated) == (1, 1)


def test_a_collapsed_model_is_precise_and_covers_nothing() -> None:
    precision, recall = scores(real, real[:1] + 1e-4 * torch.randn(100, 2, generator=generator))
    assert precision > 0.99
    assert recall <= 1 / 150


def test_a_model_far_away_has_neither() -> None:
    assert scores(real, generated + 100) == (0, 0)


def test_neither_batches_nor_processes_matter() -> None:
    first, second = PrecisionRecall(), PrecisionRecall()
    for batch in real.flip(0).split(11):
        second.update(batch, real=True)
    first.update(generated[:1], real=False)
    second.update(generated[1:], real=False)
    first.merge_state(second)
    assert tuple(value.item() for value in first.compute()) == scores(real, generated)


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="150 real and 3 generated examples: it needs at least 4 of each"):
        scores(real, generated[:3])
    with pytest.raises(ValueError, match="neighbours is 0:"):
        PrecisionRecall(0)
