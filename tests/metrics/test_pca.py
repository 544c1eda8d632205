from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from metrics import PCAReconstruction

images = torch.from_numpy(load_digits().images).float().div(16).unsqueeze(1)
train, held_out = images[:1400], images[1400:]


def unequal_batches(data: torch.Tensor, *sizes: int) -> Iterator[torch.Tensor]:
    yield from data.split([*sizes, len(data) - sum(sizes)])


def fitted(components: int) -> PCAReconstruction:
    metric = PCAReconstruction(components)
    metric.fit(unequal_batches(train, 1000, 3))
    return metric


@pytest.mark.parametrize("components", [1, 5, 20, 63])
def test_it_is_the_error_of_scikit_learns_pca(components: int) -> None:
    metric = fitted(components)
    for batch in unequal_batches(held_out, 100, 7):
        metric.update(batch, batch)
    flat = held_out.flatten(1).double().numpy()
    pca = PCA(components, svd_solver="full").fit(train.flatten(1).double().numpy())
    expected = np.square(pca.inverse_transform(pca.transform(flat)) - flat).mean()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_a_corrupted_input_is_projected_and_compared_with_the_clean_one() -> None:
    metric = fitted(8)
    noisy = held_out + 0.3 * torch.randn(held_out.shape, generator=torch.Generator().manual_seed(0))
    metric.update(noisy, held_out)
    pca = PCA(8, svd_solver="full").fit(train.flatten(1).double().numpy())
    cleaned = pca.inverse_transform(pca.transform(noisy.flatten(1).double().numpy()))
    expected = np.square(cleaned - held_out.flatten(1).double().numpy()).mean()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-4)


def test_the_order_of_the_batches_is_irrelevant() -> None:
    forwards, backwards = fitted(6), PCAReconstruction(6)
    backwards.fit(reversed(list(unequal_batches(train, 100, 900))))
    parts = list(unequal_batches(held_out, 11, 200))
    for part, other in zip(parts, reversed(parts), strict=True):
        forwards.update(part, part)
        backwards.update(other, other)
    assert forwards.compute().item() == pytest.approx(backwards.compute().item(), rel=1e-5)


def test_two_processes_give_the_error_of_one() -> None:
    whole, first, second = fitted(6), fitted(6), fitted(6)
    whole.update(held_out, held_out)
    first.update(held_out[:50], held_out[:50])
    second.update(held_out[50:], held_out[50:])
    first.merge_state(second)
    assert first.compute().item() == pytest.approx(whole.compute().item(), rel=1e-6)


def test_reset_forgets_the_errors_and_keeps_the_components() -> None:
    metric = fitted(6)
    metric.update(held_out, held_out)
    before = metric.compute().item()
    metric.reset()
    metric.update(held_out, held_out)
    assert metric.compute().item() == before


def test_mixed_precision_does_not_reach_the_baseline() -> None:
    metric, mixed = fitted(30), fitted(30)
    metric.update(held_out, held_out)
    with torch.autocast("cpu", torch.bfloat16):
        mixed.update(held_out, held_out)
    assert mixed.compute().item() == pytest.approx(metric.compute().item(), rel=1e-5)


def test_large_images_take_the_incremental_way_to_nearly_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = fitted(10)
    monkeypatch.setattr("metrics.pca._LARGEST_COVARIANCE", 63)
    incremental = PCAReconstruction(10)
    incremental.fit(unequal_batches(train, 500, 500, 395))  # the last batch has fewer images than components
    for metric in (exact, incremental):
        metric.update(held_out, held_out)
    assert incremental.compute().item() == pytest.approx(exact.compute().item(), rel=0.02)
