from itertools import product
from typing import Literal

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from metrics import KernelDistance

generator = torch.Generator().manual_seed(0)
real = torch.randn(60, 5, generator=generator)
generated = 0.5 * torch.randn(45, 5, generator=generator) + 0.4
KERNELS: tuple[Literal["polynomial", "energy"], ...] = ("polynomial", "energy")


def distance(kernel: Literal["polynomial", "energy"], real: torch.Tensor, generated: torch.Tensor) -> float:
    metric = KernelDistance(kernel)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return metric.compute().item()


def one_by_one(kernel: str, real: torch.Tensor, generated: torch.Tensor) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3 if kernel == "polynomial" else -np.linalg.norm(a - b))

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        return float(np.mean([k(a[i], b[j]) for i, j in product(range(len(a)), range(len(b))) if i != j or not same]))

    x, y = real.double().numpy(), generated.double().numpy()
    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_the_sum_over_all_pairs(kernel: Literal["polynomial", "energy"], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = distance(kernel, real, generated)
    assert whole == pytest.approx(one_by_one(kernel, real, generated), rel=1e-9)
    monkeypatch.setattr("metrics.two_sets.CHUNK", 7)
    assert distance(kernel, real, generated) == pytest.approx(whole, rel=1e-9)


def test_the_polynomial_one_is_the_kid_of_one_subset() -> None:
    half = real[:45].double(), generated.double()
    assert distance("polynomial", *half) == pytest.approx(poly_mmd(*half).item(), rel=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_unbiased_and_sees_a_difference(kernel: Literal["polynomial", "energy"]) -> None:
    sets = torch.randn(2, 200, 20, 3, generator=generator)
    equal = np.array([distance(kernel, x, y) for x, y in zip(*sets, strict=True)])
    assert abs(equal.mean()) < 3 * equal.std() / np.sqrt(len(equal))
    assert equal.min() < 0
    assert distance(kernel, sets[0].flatten(0, 1), sets[1].flatten(0, 1) + 1) > 10 * equal.std() / np.sqrt(len(equal))


def test_the_energy_of_two_points_apart() -> None:
    ends = torch.tensor([[0.0], [0.0]]), torch.tensor([[3.0], [3.0]])
    assert distance("energy", *ends) == pytest.approx(6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_neither_batches_nor_processes_matter(kernel: Literal["polynomial", "energy"]) -> None:
    first, second = KernelDistance(kernel), KernelDistance(kernel)
    for batch in real.flip(0).split(11):
        second.update(batch, real=True)
    first.update(generated[:1], real=False)
    second.update(generated[1:], real=False)
    first.merge_state(second)
    assert first.compute().item() == pytest.approx(distance(kernel, real, generated), rel=1e-9)


def test_what_processes_gathered_is_one_set() -> None:
    metric, other = KernelDistance("energy"), KernelDistance("energy")
    metric.update(generated, real=False)  # a process without a single real example
    other.update(real, real=True)
    theirs = iter([other.real[0], other.generated[0]])
    metric.distributed_available_fn = lambda: True
    metric.dist_sync_fn = lambda mine, group: [mine, next(theirs)]
    assert metric.real[0].ndim == other.generated[0].ndim == 2  # or processes could not gather them
    assert metric.compute().item() == pytest.approx(distance("energy", real, generated), rel=1e-9)


def test_too_few_examples_and_unknown_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 real and 45 generated examples: it needs at least 2 of each"):
        distance("energy", real[:1], generated)
    with pytest.raises(ValueError, match="kernel is 'rbf': choose"):
        KernelDistance("rbf")  # type: ignore[arg-type]
