"""The other terms between two domains, two classifiers, two kinds of features."""

from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from objectives import conditional_entropy, coral, difference, discrepancy


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_coral_of_a_matrix_by_hand() -> None:
    # covariances [[2, 2], [2, 2]] and [[8, 0], [0, 0]] from two examples each; they differ by [[-6, 2], [2, 2]]
    source = torch.tensor([[0.0, 5.0], [2.0, 7.0]])
    target = torch.tensor([[1.0, 3.0], [5.0, 3.0]])
    assert coral(source, target).item() == pytest.approx((36 + 4 + 4 + 4) / (4 * 2**2))


@pytest.mark.parametrize("sizes", [(20, 20), (5, 9)])
def test_coral_is_numpys_covariance(sizes: tuple[int, int]) -> None:
    source, target = drawn(0, sizes[0], 6) @ drawn(2, 6, 6), 3 + drawn(1, sizes[1], 6)
    apart = np.cov(source.numpy(), rowvar=False) - np.cov(target.numpy(), rowvar=False)
    assert coral(source, target).item() == pytest.approx(np.linalg.norm(apart) ** 2 / (4 * 6**2))
    torch.testing.assert_close(coral(source + 5, target - 7), coral(source, target))  # means do not count


def test_coral_needs_two_examples() -> None:
    with pytest.raises(ValueError, match="a batch has 1 and 4 examples:"):
        coral(torch.zeros(1, 2), torch.zeros(4, 2))


def test_discrepancy_by_hand() -> None:
    first = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]).log()
    second = torch.tensor([[0.25, 0.25, 0.5], [0.1, 0.1, 0.8]]).log() + 3  # logits may be shifted
    assert discrepancy(first, second).item() == pytest.approx((0.25 + 0 + 0.25) / 6)
    sure = 100 * torch.eye(4, dtype=torch.float64)
    assert discrepancy(sure, sure.roll(1, 0)).item() == pytest.approx(2 / 4)
    assert discrepancy(sure, sure) == 0


def test_difference_is_the_cosines_of_all_pairs() -> None:
    shared, private = drawn(0, 7, 3), drawn(1, 7, 5)
    s, p = (x - x.mean(0) for x in (shared, private))
    total = 0.0
    for i in range(7):
        for j in range(7):
            total += (torch.cosine_similarity(s[i], s[j], dim=0) * torch.cosine_similarity(p[i], p[j], dim=0)).item()
    assert difference(shared, private).item() == pytest.approx(total / 49)


def test_difference_is_0_for_uncorrelated_and_1_for_equal_features() -> None:
    one = torch.tensor([1.0, -1.0, 1.0, -1.0]).unsqueeze(1)
    other = torch.tensor([1.0, 1.0, -1.0, -1.0]).unsqueeze(1)
    assert difference(one, other) == 0
    assert difference(5 + one, 3 * one) == 1
    assert difference(torch.zeros(4, 2), other).isfinite()


@pytest.mark.parametrize("classes", [2, 10])
def test_entropy_is_from_0_to_the_log_of_the_classes(classes: int) -> None:
    logits = torch.stack([torch.zeros(classes), 200 * torch.eye(classes)[1]])
    torch.testing.assert_close(conditional_entropy(logits), torch.tensor([log(classes), 0.0]))


def test_entropy_is_that_of_torch_distributions() -> None:
    logits = 5 * drawn(0, 9, 4)
    torch.testing.assert_close(conditional_entropy(logits), torch.distributions.Categorical(logits=logits).entropy())


@pytest.mark.parametrize("function", [coral, difference, discrepancy])
def test_gradients(function: object) -> None:
    assert torch.autograd.gradcheck(function, (drawn(0, 4, 3).requires_grad_(), drawn(1, 4, 3).requires_grad_()))


def test_gradients_of_the_entropy() -> None:
    assert torch.autograd.gradcheck(conditional_entropy, (drawn(0, 4, 3).requires_grad_(),))
