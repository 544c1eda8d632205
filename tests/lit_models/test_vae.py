import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from datamodules import Digits, ImageBatch
from lit_models import IWAE, VAE
from networks import Bernoulli, FreshNoise, Gaussian, KeyedNoise

SIGMA = 0.4


class Observed(Gaussian):
    """Gaussian pixels that are the modelled variable already."""

    def observe(self, image: Tensor, index: Tensor, noise: Any) -> Tensor:
        return image


class LinearGaussian:
    """x = W z + b + SIGMA * noise in four pixels, with two latents and orthogonal columns of W.

    Its evidence is N(b, W W' + SIGMA^2), and its posterior has independent dimensions, so that an encoder of
    one linear layer can be exact.
    """

    def __init__(self) -> None:
        rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))
        self.w = torch.from_numpy(rotation * [1.5, 0.3]).float()
        self.b = torch.tensor([0.1, -0.2, 0.3, 0.5])
        self.evidence = MultivariateNormal(self.b, self.w @ self.w.T + SIGMA**2 * torch.eye(4))
        self.variance = 1 / (1 + self.w.square().sum(0) / SIGMA**2)
        self.shrink = self.variance[:, None] * self.w.T / SIGMA**2

    def model(self, kind: type[VAE], shift: float = 0.0, widen: float = 0.0, **kwargs: Any) -> Any:
        """With the true posterior, or one that is moved by `shift` and whose log variance is raised by `widen`."""
        model: Any = kind(
            (1, 2, 2),
            2,
            encoder=lambda shape, width: nn.Sequential(nn.Flatten(), nn.Linear(4, width)),
            decoder=lambda width, shape: nn.Sequential(nn.Linear(width, 4), nn.Unflatten(1, (1, 2, 2))),
            likelihood=Observed(SIGMA),
            **kwargs,
        )
        with torch.no_grad():
            model.decoder[0].weight.copy_(self.w)
            model.decoder[0].bias.copy_(self.b)
            model.encoder[1].weight.copy_(torch.cat([self.shrink, torch.zeros(2, 4)]))
            mean = shift - self.shrink @ self.b
            model.encoder[1].bias.copy_(torch.cat([mean, self.variance.log() + widen]))
        return model.requires_grad_(False)

    def gap(self, shift: float, widen: float) -> float:
        """KL of such a posterior to the true one."""
        true = Normal(torch.zeros(2), self.variance.sqrt())
        other = Normal(torch.full((2,), shift), (self.variance * math.exp(widen)).sqrt())
        return kl_divergence(other, true).sum().item()

    def data(self, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        z, noise = torch.randn(count, 2, generator=generator), torch.randn(count, 4, generator=generator)
        return (z @ self.w.T + self.b + SIGMA * noise).view(-1, 1, 2, 2)


@pytest.fixture(scope="module")
def exact() -> LinearGaussian:
    return LinearGaussian()


def many(x: Tensor, count: int) -> ImageBatch:
    """One image over and over, for an expectation over the posterior."""
    image = x[:1].expand(count, -1, -1, -1)
    return ImageBatch(image, torch.zeros(count), torch.arange(count))


def test_every_importance_weight_of_the_true_posterior_is_the_evidence(exact: LinearGaussian) -> None:
    x = exact.data(50)
    model = exact.model(VAE)
    log_weight, _ = model.importance_samples(x, *model.posterior(x), 9, KeyedNoise(torch.arange(50)))
    expected = exact.evidence.log_prob(x.flatten(1))
    torch.testing.assert_close(log_weight, expected[:, None].expand(50, 9), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "samples"), [(VAE, 1), (VAE, 7), (VAE, 5000), (IWAE, 7)])
def test_nll_with_the_true_posterior_is_exact(exact: LinearGaussian, kind: type[VAE], samples: int) -> None:
    x = exact.data(50)
    nll = exact.model(kind, nll_samples=samples).nll(x, torch.arange(50))
    torch.testing.assert_close(nll, -exact.evidence.log_prob(x.flatten(1)), rtol=1e-4, atol=1e-4)


def test_nll_with_another_posterior_converges_to_the_evidence(exact: LinearGaussian) -> None:
    x = exact.data(20)
    nll = exact.model(VAE, 0.1, 0.5, nll_samples=5000).nll(x, torch.arange(20))
    torch.testing.assert_close(nll, -exact.evidence.log_prob(x.flatten(1)), rtol=0, atol=0.05)


@pytest.mark.parametrize(("shift", "widen"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.8), (-0.1, -1.0)])
def test_the_elbo_lacks_exactly_the_divergence_of_the_posteriors(
    exact: LinearGaussian, shift: float, widen: float
) -> None:
    torch.manual_seed(0)
    x = exact.data(1)
    loss = exact.model(VAE, shift, widen).train().loss(many(x, 100_000)).total.item()
    evidence = exact.evidence.log_prob(x.flatten(1)).item()
    assert loss == pytest.approx(exact.gap(shift, widen) - evidence, abs=0.03)


def test_one_importance_sample_estimates_the_elbo_and_more_tighten_it(exact: LinearGaussian) -> None:
    torch.manual_seed(0)
    x, posterior = exact.data(1), (0.2, 0.8)
    losses = [exact.model(IWAE, *posterior, samples=k).train().loss(many(x, 20_000)).total.item() for k in (1, 5, 50)]
    evidence = -exact.evidence.log_prob(x.flatten(1)).item()
    assert losses[0] == pytest.approx(evidence + exact.gap(*posterior), abs=0.05)
    assert losses[0] > losses[1] > losses[2] > evidence - 0.01
    assert losses[2] == pytest.approx(evidence, abs=0.05)


def test_terms_of_iwae_are_those_of_the_plain_elbo(exact: LinearGaussian) -> None:
    torch.manual_seed(0)
    x = exact.data(1)
    terms = {kind: exact.model(kind, 0.2, 0.8).train().loss(many(x, 50_000)) for kind in (VAE, IWAE)}
    assert terms[IWAE].kl.item() == pytest.approx(terms[VAE].kl.item(), rel=1e-5)
    assert terms[IWAE].reconstruction.item() == pytest.approx(terms[VAE].reconstruction.item(), abs=0.03)


def test_total_is_reconstruction_plus_beta_kl(build: Callable[..., Any], batch: ImageBatch) -> None:
    for beta in (0.0, 1.0, 4.0):
        terms = build(VAE, beta=beta).loss(batch)
        assert terms.kl > 0
        torch.testing.assert_close(terms.total, terms.reconstruction + beta * terms.kl)


def test_kl_is_summed_over_latents_and_averaged_over_images(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(VAE).eval()
    x = model.likelihood.observe(batch.image, batch.index, model.noise(batch))
    mu, logvar = model.posterior(x)
    expected = kl_divergence(Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0)).sum() / len(x)
    torch.testing.assert_close(model.loss(batch).kl, expected)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0)])
def test_warmup_raises_the_weight_of_the_kl_in_training_only(
    step: int, share: float, build: Callable[..., Any], batch: ImageBatch
) -> None:
    model = build(VAE, beta=2.0, kl_warmup=10)
    model.batch_step.fill_(step)
    terms = model.train().loss(batch)
    torch.testing.assert_close(terms.total, terms.reconstruction + 2 * share * terms.kl)
    terms = model.eval().loss(batch)
    torch.testing.assert_close(terms.total, terms.reconstruction + 2 * terms.kl)


def test_free_bits_change_the_total_and_nothing_else(build: Callable[..., Any], batch: ImageBatch) -> None:
    plain, generous = (build(VAE, free_bits=nats).eval().loss(batch) for nats in (0.0, 50.0))
    assert torch.equal(plain.kl, generous.kl)
    assert torch.equal(plain.reconstruction, generous.reconstruction)
    torch.testing.assert_close(generous.total, generous.reconstruction + 4 * 50.0)  # four latents at the floor


def test_free_bits_below_every_latent_are_the_plain_kl(build: Callable[..., Any], batch: ImageBatch) -> None:
    terms = build(VAE, free_bits=1e-9).loss(batch)
    torch.testing.assert_close(terms.total, terms.reconstruction + terms.kl)


def test_static_binarisation_is_the_same_at_every_visit(build: Callable[..., Any], batch: ImageBatch) -> None:
    seen = {}
    for binarization in ("static", "dynamic"):
        model = build(VAE, likelihood=Bernoulli(binarization))  # type: ignore[arg-type]
        inputs: list[Tensor] = []
        model.encoder.register_forward_pre_hook(lambda _, args, inputs=inputs: inputs.append(args[0]))
        for training in (True, True, False):
            model.train(training).loss(batch)
        seen[binarization] = [torch.equal(inputs[0], other) for other in inputs[1:]]
        assert set(inputs[0].unique().tolist()) == {0.0, 1.0}
    assert seen == {"static": [True, True], "dynamic": [False, False]}


@pytest.mark.parametrize("kind", [VAE, IWAE])
def test_nll_lies_below_the_negative_elbo(
    kind: type[VAE], build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    logged = make_trainer().test(build(kind, nll_samples=100), Digits(), verbose=False)[0]
    assert logged["test/nll"] < -logged["test/elbo"]
    assert logged["test/elbo"] == pytest.approx(-logged["test/reconstruction"] - logged["test/kl"], rel=1e-5)


def test_options_of_the_loss_do_not_touch_the_elbo(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    plain = make_trainer().validate(build(VAE), Digits(), verbose=False)[0]
    other = make_trainer().validate(build(VAE, beta=7.0, free_bits=2.0, kl_warmup=9), Digits(), verbose=False)[0]
    assert plain["val/elbo"] == other["val/elbo"] == pytest.approx(-plain["val/total"], rel=1e-5)
    assert other["val/total"] > plain["val/total"] + 1


@pytest.mark.parametrize(("likelihood", "offset"), [(Bernoulli(), 0.0), (Gaussian(), 8.0)])
def test_bits_per_dimension(
    likelihood: Any, offset: float, build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    logged = make_trainer().validate(build(VAE, likelihood=likelihood), Digits(), verbose=False)[0]
    assert logged["val/bits_per_dim"] == pytest.approx(-logged["val/elbo"] / math.log(2) / 64 + offset, rel=1e-5)


def test_nll_is_left_out_where_no_samples_are_asked_for(
    build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    logged = make_trainer().test(build(VAE, nll_samples=0), Digits(), verbose=False)[0]
    assert "test/nll" not in logged
    assert "test/active_units" in logged


def test_active_units_count_the_latents_that_vary(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model = build(VAE)
    with torch.no_grad():
        model.encoder[-1].weight[:4] *= torch.tensor([0.0, 20.0, 0.0, 20.0])[:, None]  # mu of latents 0 and 2: constant
    logged = make_trainer().test(model, Digits(eval_batch_size=50), verbose=False)[0]
    assert logged["test/active_units"] == 2


def test_the_posterior_is_float32_under_autocast(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(VAE)
    with torch.autocast("cpu", torch.bfloat16):
        mu, logvar = model.posterior(batch.image)
        terms = model.loss(batch)
    assert mu.dtype == logvar.dtype == torch.float32
    assert all(term.dtype == torch.float32 for term in terms)


def test_samples_come_from_the_global_generator(build: Callable[..., Any]) -> None:
    model = build(VAE)
    torch.manual_seed(3)
    first = model.sample(4)
    torch.manual_seed(3)
    assert torch.equal(model.sample(4), first)


def test_gradients_reach_encoder_and_decoder(build: Callable[..., Any], batch: ImageBatch) -> None:
    for kind in (VAE, IWAE):
        model = build(kind)
        model.loss(batch).total.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_importance_samples_belong_to_their_own_image(exact: LinearGaussian) -> None:
    # images far apart: a mix-up of rows would cost hundreds of nats
    x = torch.stack([torch.full((1, 2, 2), value) for value in (-9.0, 0.0, 9.0)])
    model = exact.model(VAE)
    log_weight, nll = model.importance_samples(x, *model.posterior(x), 4, FreshNoise(torch.arange(3)))
    expected = exact.evidence.log_prob(x.flatten(1))
    assert log_weight.shape == nll.shape == (3, 4)
    torch.testing.assert_close(log_weight, expected[:, None].expand(3, 4), rtol=1e-3, atol=1e-2)


def test_it_begins_at_the_average_image(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    data = Digits()
    average = torch.cat(list(data.training_images())).mean(0)
    for likelihood, tolerance in ((Bernoulli(), 1e-3), (Gaussian(), 1e-6)):
        model = build(VAE, likelihood=likelihood)
        torch.nn.init.zeros_(model.decoder[-2].weight)
        torch.nn.init.zeros_(model.decoder[-2].bias)
        make_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0).fit(model, data)
        begun = model.average.clone()
        torch.testing.assert_close(likelihood.mean(begun), average, atol=tolerance, rtol=0)
        make_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0).fit(model, Digits(val_size=0.5))
        assert torch.equal(model.average, begun)  # a model that has been trained keeps its own
