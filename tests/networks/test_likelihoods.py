import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from networks import Bernoulli, FreshNoise, Gaussian, KeyedNoise

index = torch.arange(2000)
ramp = torch.linspace(0, 1, 11).view(1, 1, 1, 11).expand(2000, 1, 1, 11)


@pytest.mark.parametrize("binarization", ["dynamic", "static"])
def test_a_grey_level_is_the_frequency_of_a_one(binarization: Any) -> None:
    torch.manual_seed(0)
    x = Bernoulli(binarization).observe(ramp, index, FreshNoise(index))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(x.mean(0), ramp[0], atol=0.05, rtol=0)
    assert torch.equal(x[..., 0], torch.zeros(2000, 1, 1))  # black and white are never flipped
    assert torch.equal(x[..., -1], torch.ones(2000, 1, 1))


def test_dynamic_binarisation_is_new_at_every_visit() -> None:
    noise = FreshNoise(index)
    likelihood = Bernoulli("dynamic")
    assert not torch.equal(likelihood.observe(ramp, index, noise), likelihood.observe(ramp, index, noise))


def test_static_binarisation_is_the_same_in_every_batch_and_from_every_source() -> None:
    likelihood = Bernoulli("static")
    first = likelihood.observe(ramp, index, FreshNoise(index))
    backwards = index.flip(0)
    assert torch.equal(likelihood.observe(ramp, backwards, KeyedNoise(backwards, seed=9)).flip(0), first)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("binarization", ["dynamic", "static"])
def test_the_bits_are_unrelated_to_the_noise_of_the_posterior(binarization: Any) -> None:
    noise = KeyedNoise(index)
    x = Bernoulli(binarization).observe(torch.full((2000, 1, 8, 8), 0.5), index, noise)
    epsilon = noise.normal(20)
    both = np.corrcoef(x.flatten(1).numpy(), epsilon.numpy(), rowvar=False)
    assert np.abs(both[:64, 64:]).max() < 0.12  # 1,280 correlations, each with a standard deviation of 0.022


def test_bernoulli_mean_is_the_probability_that_its_nll_scores() -> None:
    likelihood, logits = Bernoulli(), torch.randn(3, 1, 2, 2)
    x = torch.bernoulli(torch.full_like(logits, 0.5))
    expected = -torch.distributions.Bernoulli(likelihood.mean(logits)).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.nll(logits, x), expected)


def test_dequantised_levels_fill_disjoint_bins_of_the_unit_interval() -> None:
    levels = torch.arange(256).div(255).view(1, 1, 16, 16).expand(200, 1, 16, 16)
    x = Gaussian().observe(levels, index[:200], KeyedNoise(index[:200]))
    assert x.min() >= 0
    assert x.max() <= 1
    lowest, highest = x.amin(0).flatten(), x.amax(0).flatten()
    assert (highest[:-1] < lowest[1:]).all()
    assert (highest - lowest).min() > 0.9 / 256  # each bin is used over its whole width


@pytest.mark.parametrize("sigma", [0.05, 1.0, None])
def test_gaussian_nll_has_the_given_sigma(sigma: float | None) -> None:
    likelihood = Gaussian(sigma)
    mean, x = torch.randn(3, 1, 2, 2), torch.rand(3, 1, 2, 2)
    expected = -Normal(mean, sigma or 0.1).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.nll(mean, x), expected)


def test_only_a_learned_sigma_is_a_parameter() -> None:
    learned, fixed = Gaussian(), Gaussian(0.3)
    assert not list(fixed.parameters())
    assert not fixed.state_dict()  # it comes from the configuration
    learned.nll(torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)).sum().backward()
    assert learned.logvar.grad is not None
    assert learned.logvar.grad < 0  # an error of 1 asks for more than 0.1


def test_gaussian_mean_is_an_image() -> None:
    assert torch.equal(Gaussian().mean(torch.tensor([-1.0, 0.3, 7.0])), torch.tensor([0.0, 0.3, 1.0]))


def test_bits_refer_to_256_levels() -> None:
    # a density of 1 on [0, 1] gives each of 256 levels a probability of 1 / 256
    assert Gaussian().bits_offset == pytest.approx(-math.log2(1 / 256))
    assert Bernoulli().bits_offset == 0


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: Bernoulli("always"), "binarization is 'always': choose dynamic or static"),  # type: ignore[arg-type]
        (lambda: Gaussian(0.0), "sigma is 0.0:"),
        (lambda: Gaussian(-1.0), "sigma is -1.0:"),
    ],
)
def test_impossible_arguments_are_one_clear_line(make: Any, start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        make()
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)
