import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, kl_divergence

from objectives import kl_sparsity

inside = st.floats(0.01, 0.99)


@given(rho=inside, rho_hat=st.lists(inside, min_size=1, max_size=5))
def test_it_is_the_sum_of_bernoulli_divergences(rho: float, rho_hat: list[float]) -> None:
    mean = torch.tensor(rho_hat).double()
    target = Bernoulli(torch.full_like(mean, rho))
    torch.testing.assert_close(kl_sparsity(mean, rho), kl_divergence(target, Bernoulli(mean)).sum())


@given(rho=inside)
def test_it_is_zero_at_the_target(rho: float) -> None:
    assert kl_sparsity(torch.full((7,), rho), rho).item() == pytest.approx(0, abs=1e-5)


def test_value_by_hand() -> None:
    # 0.05 log(0.05 / 0.2) + 0.95 log(0.95 / 0.8)
    assert kl_sparsity(torch.tensor([0.2]), 0.05).item() == pytest.approx(
        0.05 * math.log(0.25) + 0.95 * math.log(1.1875)
    )


def test_the_mean_comes_first() -> None:
    activation = torch.zeros(20, 3)
    activation[[0, 7, 13], [0, 1, 2]] = 1  # each unit is fully on in one example of twenty
    assert kl_sparsity(activation.mean(0), 0.05).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_it_is_finite_for_dead_and_for_saturated_units(value: float) -> None:
    mean = torch.full((4,), value, requires_grad=True)
    penalty = kl_sparsity(mean, 0.05)
    penalty.backward()
    assert penalty.item() > 1
    assert mean.grad is not None
    assert mean.grad.isfinite().all()


def test_the_gradient_leads_to_the_target() -> None:
    mean = torch.tensor([0.01, 0.05, 0.3], requires_grad=True)
    kl_sparsity(mean, 0.05).backward()
    assert mean.grad is not None
    low, at, high = mean.grad.tolist()
    assert low < 0 < high
    assert at == pytest.approx(0, abs=1e-5)
