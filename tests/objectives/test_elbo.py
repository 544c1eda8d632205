import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from objectives import free_bits, gaussian_kl, importance_weighted_bound, log_normal

finite = st.floats(-5, 5)


@given(mu=finite, logvar=finite)
def test_gaussian_kl_is_that_of_torch_distributions(mu: float, logvar: float) -> None:
    mean, log_variance = torch.tensor([[mu]]).double(), torch.tensor([[logvar]]).double()
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    expected = kl_divergence(posterior, Normal(torch.zeros_like(mean), torch.ones_like(mean)))
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected, rtol=1e-9, atol=1e-12)


def test_gaussian_kl_keeps_batch_and_dimension_apart() -> None:
    mu = torch.tensor([[0.0, 3.0], [4.0, 0.0]])
    assert torch.equal(gaussian_kl(mu, torch.zeros(2, 2)), torch.tensor([[0.0, 4.5], [8.0, 0.0]]))


def test_gaussian_kl_keeps_its_digits_close_to_the_prior() -> None:
    logvar = torch.linspace(-1e-2, 1e-2, 401)[:, None]
    exact = gaussian_kl(torch.zeros_like(logvar).double(), logvar.double())
    torch.testing.assert_close(gaussian_kl(torch.zeros_like(logvar), logvar).double(), exact, rtol=1e-3, atol=1e-9)


def test_free_bits_is_a_floor_under_the_batch_mean_of_each_dimension() -> None:
    kl = torch.tensor([[0.0, 3.0, 0.0], [0.4, 5.0, 2.0]], requires_grad=True)
    # means 0.2, 4, 1: the first alone lies below the floor of 0.5, the third only in one example
    penalty = free_bits(kl, 0.5)
    penalty.backward()
    assert penalty.item() == pytest.approx(0.5 + 4 + 1)
    assert kl.grad is not None
    assert torch.equal(kl.grad, torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]))


@given(z=finite, mu=finite, logvar=finite)
def test_log_normal_is_that_of_torch_distributions(z: float, mu: float, logvar: float) -> None:
    tensors = [torch.tensor([value, 0.5]).double() for value in (z, mu, logvar)]
    expected = Normal(tensors[1], torch.exp(0.5 * tensors[2])).log_prob(tensors[0]).sum()
    torch.testing.assert_close(log_normal(*tensors), expected)


def test_log_normal_broadcasts_scalars_and_sums_over_the_last_dimension() -> None:
    z = torch.randn(3, 4, 5)
    zero = torch.zeros(())
    torch.testing.assert_close(log_normal(z, zero, zero), Normal(0.0, 1.0).log_prob(z).sum(-1))


def test_bound_of_one_sample_is_its_log_weight() -> None:
    log_weight = torch.randn(6, 1)
    torch.testing.assert_close(importance_weighted_bound(log_weight), log_weight[:, 0])


@given(value=st.floats(-1e4, 1e4), samples=st.integers(1, 100))
def test_bound_of_constant_weights_is_the_weight(value: float, samples: int) -> None:
    bound = importance_weighted_bound(torch.full((2, samples), value))
    torch.testing.assert_close(bound, torch.full((2,), value), rtol=1e-6, atol=1e-5)


def test_bound_is_stable_where_every_weight_underflows() -> None:
    log_weight = torch.tensor([[-1e4, -1e4 - math.log(3)]], requires_grad=True)
    bound = importance_weighted_bound(log_weight)
    bound.sum().backward()
    assert bound.item() == pytest.approx(-1e4 + math.log(2 / 3), abs=2e-3)
    assert log_weight.grad is not None
    torch.testing.assert_close(log_weight.grad, torch.tensor([[0.75, 0.25]]), atol=1e-3, rtol=0)


def test_bound_grows_with_the_samples_and_stays_below_the_evidence() -> None:
    # weights exp(N(-1/2, 1)) have mean 1: the evidence is log 1 = 0 and the ELBO -1/2
    log_weight = torch.from_numpy(np.random.default_rng(0).normal(-0.5, 1, (4000, 64)))
    bounds = [importance_weighted_bound(log_weight[:, :samples]).mean().item() for samples in (1, 2, 4, 16, 64)]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(-0.5, abs=0.06)
    assert -0.03 < bounds[-1] < 0.005
