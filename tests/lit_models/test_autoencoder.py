from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.distributions import Bernoulli, kl_divergence
from torch.optim import LBFGS
from torch.utils.data import DataLoader

from datamodules import Digits, ImageBatch
from lit_models import Autoencoder, DenoisingAutoencoder, SparseAutoencoder
from networks import GaussianCorruption, MaskingCorruption, MLPDecoder, MLPEncoder

LINEAR: dict[str, Any] = {"encoder": partial(MLPEncoder, hidden=()), "decoder": partial(MLPDecoder, hidden=())}
# shows its input unchanged
IDENTITY: dict[str, Any] = {
    "latent_dim": 64,
    "encoder": lambda shape, width: nn.Flatten(),
    "decoder": lambda width, shape: nn.Sequential(nn.Unflatten(1, shape), Scaled()),
}


class Scaled(nn.Module):
    """Something to optimise, that begins as the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x


def test_terms_by_hand(build: Callable[..., Any], batch: ImageBatch) -> None:
    for name, output in (("mse", nn.Identity()), ("bce", nn.Sigmoid())):
        model = build(Autoencoder, reconstruction=name)
        x = batch.image
        y = output(model.decoder(model.encoder(x)))
        error = (y - x).square() if name == "mse" else -x * y.log() - (1 - x) * (1 - y).log()
        torch.testing.assert_close(model.loss(batch).total, error.sum() / len(x))
        torch.testing.assert_close(model(x), y)


def test_a_linear_one_reaches_principal_components(batch: ImageBatch) -> None:
    torch.manual_seed(0)
    model = Autoencoder((1, 8, 8), 4, **LINEAR).double()
    double = batch._replace(image=batch.image.double())
    flat = double.image.flatten(1).numpy()
    pca = PCA(4, svd_solver="full").fit(flat)
    best = np.square(pca.inverse_transform(pca.transform(flat)) - flat).sum(1).mean()
    optimizer = LBFGS(model.parameters(), max_iter=400, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total: torch.Tensor = model.loss(double).total
        total.backward()
        return total

    assert closure().item() > 1.5 * best
    optimizer.step(closure)
    reached = model.loss(double).total.item()
    assert best * (1 - 1e-9) <= reached <= 1.01 * best
    # the same subspace: the decoder's columns lie in that of the components
    decoder = next(layer.weight for layer in model.decoder if isinstance(layer, nn.Linear)).detach().numpy()
    cosines = np.linalg.svd(pca.components_ @ np.linalg.qr(decoder)[0], compute_uv=False)
    assert cosines.min() > 0.98


def test_the_baseline_of_the_test_is_scikit_learns_pca(
    build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model, data = build(Autoencoder), Digits(eval_batch_size=100)
    logged = make_trainer().test(model, data, verbose=False)[0]
    train = torch.cat(list(data.training_images())).flatten(1).double().numpy()
    image = torch.cat([batch.image for batch in data.test_dataloader()]).float() / 255
    flat = image.flatten(1).double().numpy()
    pca = PCA(8, svd_solver="full").fit(train)
    baseline = np.square(pca.inverse_transform(pca.transform(flat)) - flat).mean()
    with torch.no_grad():
        mse = (model(image) - image).square().mean().item()
    assert logged["test/mse"] == pytest.approx(mse, rel=1e-5)
    assert logged["test/pca_mse"] == pytest.approx(baseline, rel=1e-4)
    assert logged["test/pca_mse_ratio"] == pytest.approx(mse / baseline, rel=1e-4)


def test_an_overcomplete_code_has_no_baseline(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    logged = make_trainer().test(build(Autoencoder, latent_dim=64), Digits(), verbose=False)[0]
    assert set(logged) == {"test/total", "test/reconstruction", "test/mse"}


def test_data_without_training_images_are_tested_without_the_baseline_and_said_so(
    build: Callable[..., Any], make_trainer: Callable[..., Any], batch: ImageBatch
) -> None:
    model = build(Autoencoder)
    loader = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="test/pca_mse_ratio needs a DataModule"):
        logged = make_trainer().test(model, loader, verbose=False)[0]
    assert "test/mse" in logged
    assert "test/pca_mse" not in logged
    assert "test/pca_mse" in make_trainer().test(model, Digits(), verbose=False)[0]


def test_sparse_penalty_is_that_of_the_batch_mean(attached: Callable[..., Any], batch: ImageBatch) -> None:
    model = attached(SparseAutoencoder, rho=0.1, sparsity_weight=2.5)
    terms = model.loss(batch)
    rho_hat = model.embed(batch.image).mean(0)
    expected = kl_divergence(Bernoulli(torch.full_like(rho_hat, 0.1)), Bernoulli(rho_hat)).sum()
    torch.testing.assert_close(terms.sparsity, expected)
    torch.testing.assert_close(terms.mean_activation, rho_hat.mean())
    torch.testing.assert_close(terms.total, terms.reconstruction + 2.5 * expected)


def test_units_that_are_seldom_on_are_free(attached: Callable[..., Any], batch: ImageBatch) -> None:
    model = attached(SparseAutoencoder, rho=0.05, latent_dim=20, encoder=lambda shape, width: OneOfTwenty())
    assert model.loss(batch).sparsity.item() == pytest.approx(0, abs=1e-4)


class OneOfTwenty(nn.Module):
    """Fully on in one example of twenty, fully off in the others."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 30 * (2.0 * torch.eye(20).repeat(len(image) // 20, 1) - 1)


def test_sparse_codes_are_activations_and_counted_by_hand(
    build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model, data = build(SparseAutoencoder, rho=0.2), Digits(eval_batch_size=100)
    with torch.no_grad():
        model.encoder[-1].weight.mul_(20)  # activations of every size
        logged = make_trainer().test(model, data, verbose=False)[0]
        code = model.embed(torch.cat([batch.image for batch in data.test_dataloader()]).float() / 255)
    assert code.min() > 0
    assert code.max() < 1
    share = (code < 0.2 / 5).float().mean().item()
    assert 0.05 < share < 0.95
    assert logged["test/near_zero"] == pytest.approx(share, abs=1e-5)


def test_training_makes_codes_sparse(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    means = {}
    for weight in (0.0, 1.0):
        model = build(SparseAutoencoder, sparsity_weight=weight)
        make_trainer(max_epochs=4).fit(model, Digits(batch_size=32))
        means[weight] = make_trainer().validate(model, Digits(), verbose=False)[0]["val/mean_activation"]
    assert means[1.0] < 0.15 < means[0.0]


def test_denoising_is_scored_against_the_clean_image(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(DenoisingAutoencoder, corruption=GaussianCorruption(0.5), **IDENTITY)
    # an identity leaves the noise where it is: 64 values of variance 1/4
    assert model.train().loss(batch).total.item() == pytest.approx(64 * 0.25, rel=0.05)
    noisy = model.corrupt(batch.image, batch.index)
    expected = (noisy - batch.image).square().sum() / len(noisy)
    torch.testing.assert_close(model.eval().loss(batch).total, expected)
    assert expected.item() == pytest.approx(64 * 0.25, rel=0.05)


def test_corrupt_shows_what_evaluation_sees(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(DenoisingAutoencoder)
    assert torch.equal(model.eval().model_input(batch), model.corrupt(batch.image, batch.index))
    assert torch.equal(model.train().corrupt(batch.image, batch.index), model.corrupt(batch.image, batch.index))
    assert not torch.equal(model.model_input(batch), model.model_input(batch))


def test_signal_to_noise_by_hand(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model, data = build(DenoisingAutoencoder, corruption=MaskingCorruption(0.3)), Digits(eval_batch_size=100)
    logged = make_trainer().test(model, data, verbose=False)[0]
    batches = [batch._replace(image=batch.image.float() / 255) for batch in data.test_dataloader()]
    clean = torch.cat([batch.image for batch in batches])
    noisy = torch.cat([model.corrupt(batch.image, batch.index) for batch in batches])
    with torch.no_grad():
        cleaned = model(noisy)

    def decibel(image: torch.Tensor) -> np.ndarray[Any, Any]:
        return -10 * np.log10(np.square((image - clean).numpy()).mean((1, 2, 3)))

    assert logged["test/psnr"] == pytest.approx(decibel(cleaned).mean(), rel=1e-4)
    assert logged["test/psnr_gain"] == pytest.approx((decibel(cleaned) - decibel(noisy)).mean(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("corruption", [MaskingCorruption(0.3), GaussianCorruption(0.5)])
def test_doing_nothing_gains_nothing(
    corruption: Any, build: Callable[..., Any], make_trainer: Callable[..., Any]
) -> None:
    model = build(DenoisingAutoencoder, corruption=corruption, **IDENTITY)
    assert make_trainer().test(model, Digits(), verbose=False)[0]["test/psnr_gain"] == pytest.approx(0, abs=1e-4)


def test_training_removes_noise(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model, data = build(DenoisingAutoencoder), Digits(batch_size=32)
    make_trainer(max_epochs=3).fit(model, data)
    logged = make_trainer().test(model, data, verbose=False)[0]
    assert logged["test/psnr_gain"] > 3
