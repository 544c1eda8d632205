import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import (
    AutoencoderLayer,
    BinaryRBM,
    DenoisingLayer,
    FreshNoise,
    GaussianCorruption,
    GaussianRBM,
    KeyedNoise,
    LayerStep,
    MaskingCorruption,
    SparseLayer,
    StackLayer,
    StackNetwork,
)
from objectives import kl_sparsity

generator = torch.Generator().manual_seed(0)
LATENT = torch.randn(200, 3, generator=generator)
X = (LATENT @ torch.randn(3, 12, generator=generator)).sigmoid()  # three causes of twelve values
LAYERS = [AutoencoderLayer, DenoisingLayer, SparseLayer]
every = pytest.mark.parametrize("make", LAYERS)


def step(mean_over_processes: Any = lambda mean: mean, batch: int = len(X)) -> LayerStep:
    return LayerStep(KeyedNoise(torch.arange(batch)), 0, False, mean_over_processes)


def cross_entropy(p: Tensor, x: Tensor) -> Tensor:
    return -(x * p.log() + (1 - x) * (1 - p).log()).sum(1).mean()


def squared(reconstruction: Tensor, x: Tensor) -> Tensor:
    return (reconstruction - x).square().sum(1).mean()


@every
def test_a_tied_decoder_is_the_encoder_transposed(make: Any) -> None:
    layer = make(12, 5)
    assert {name for name, _ in layer.named_parameters()} == {"encoder.weight", "encoder.bias", "bias"}
    with torch.no_grad():
        layer.bias.uniform_()
        code = torch.rand(7, 5)
        expected = torch.stack([layer.encoder.weight.T @ c + layer.bias for c in code]).sigmoid()
    torch.testing.assert_close(layer.decode(code), expected)


@every
def test_a_tied_weight_has_the_gradients_of_both_its_uses(make: Any) -> None:
    """An untied layer at the same weights has each gradient by itself."""
    torch.manual_seed(0)
    tied, untied = make(12, 5).double(), make(12, 5, tied=False).double()
    with torch.no_grad():
        untied.encoder.load_state_dict(tied.encoder.state_dict())
        untied.decoder.weight.copy_(tied.encoder.weight.T)
        untied.decoder.bias.copy_(tied.bias)
    losses = [layer.loss(X.double(), step())["loss"] for layer in (tied, untied)]
    torch.testing.assert_close(*losses)
    sum(losses).backward()  # type: ignore[union-attr]
    up, down = untied.encoder.weight.grad, untied.decoder.weight.grad.T
    assert up.abs().max() > 0.01
    assert down.abs().max() > 0.01
    torch.testing.assert_close(tied.encoder.weight.grad, up + down)


@every
def test_an_untied_decoder_has_weights_of_its_own(make: Any) -> None:
    layer = make(12, 5, tied=False)
    assert layer.decoder.weight.shape == (12, 5)
    assert layer.bias is None
    before = layer.encoder.weight.clone()
    with torch.no_grad():
        layer.decoder.weight.zero_()
    assert torch.equal(layer.encoder.weight, before)
    torch.testing.assert_close(layer.decode(torch.rand(2, 5)), torch.full((2, 12), 0.5))


@every
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("reconstruction", ["bce", "mse"])
def test_training_reconstructs_better_than_the_mean_does(make: Any, tied: bool, reconstruction: str) -> None:
    torch.manual_seed(0)
    options = {"sparsity_weight": 0.1} if make is SparseLayer else {}
    layer = make(12, 8, tied=tied, reconstruction=reconstruction, **options)
    assert layer.takes_unit_interval == (reconstruction == "bce")
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    fixed = step()
    first = layer.loss(X, fixed)["loss"].item()
    for _ in range(300):
        optimizer.zero_grad()
        loss = layer.loss(X, LayerStep(FreshNoise(torch.arange(len(X))), 0, False, lambda mean: mean))["loss"]
        loss.backward()
        optimizer.step()
    assert loss.item() < first
    error = cross_entropy if reconstruction == "bce" else squared
    baseline = error(X.mean(0).expand_as(X), X)
    entropy = error(X, X)  # the least there is
    assert error(layer.decode(layer.encode(X)), X) - entropy < 0.6 * (baseline - entropy)


@pytest.mark.parametrize(("reconstruction", "error"), [("bce", cross_entropy), ("mse", squared)])
def test_the_error_is_that_of_what_is_decoded(reconstruction: Any, error: Any) -> None:
    layer = AutoencoderLayer(12, 5, "tanh", reconstruction=reconstruction).double()
    x = X.double()
    expected = error(layer.decode(layer.encode(x)), x)
    torch.testing.assert_close(layer.loss(x, step())["loss"], expected)
    torch.testing.assert_close(layer.evaluate(x, step())["reconstruction"], expected)


def test_denoising_compares_with_the_clean_input() -> None:
    torch.manual_seed(0)
    layer = DenoisingLayer(12, 5, reconstruction="mse", corruption=MaskingCorruption(1.0)).double()
    x = X.double()
    blind = layer.decode(layer.encode(torch.zeros_like(x)))  # all that it sees is zeros
    for terms in (layer.loss(x, step()), layer.evaluate(x, step())):
        torch.testing.assert_close(next(iter(terms.values())), squared(blind, x))
    # part of the input, from the noise it is given, and nothing else of it
    layer = DenoisingLayer(12, 5, corruption=GaussianCorruption(0.3)).double()
    seen = GaussianCorruption(0.3)(x, step().noise)
    torch.testing.assert_close(layer.loss(x, step())["loss"], cross_entropy(layer.decode(layer.encode(seen)), x))
    assert isinstance(DenoisingLayer(12, 5).corruption, MaskingCorruption)


def test_sparsity_takes_the_mean_before_the_divergence() -> None:
    layer = SparseLayer(12, 5, rho=0.05, sparsity_weight=2.0).double()
    nn.init.normal_(layer.encoder.weight, std=3)
    x = X.double()
    code = layer.encode(x)
    terms = layer.loss(x, step())
    torch.testing.assert_close(terms["sparsity"], kl_sparsity(code.float().mean(0), 0.05))
    each = torch.stack([kl_sparsity(c, 0.05) for c in code.float()]).mean()
    assert each > 1.2 * terms["sparsity"]  # the other order would be another number
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + 2.0 * terms["sparsity"])
    assert list(terms) == ["loss", "reconstruction", "sparsity"]
    torch.testing.assert_close(layer.evaluate(x, step())["mean_activation"], code.float().mean())


def test_sparsity_is_that_of_the_mean_over_all_processes() -> None:
    layer = SparseLayer(12, 5, rho=0.05)
    halves = X[:100], X[100:]
    means = [layer.encode(half).mean(0) for half in halves]
    whole = layer.loss(X, step())["sparsity"]
    of_half = layer.loss(halves[0], step(lambda mean: (mean + means[1]) / 2, 100))["sparsity"]
    torch.testing.assert_close(of_half, whole)


def test_sparse_units_begin_and_stay_near_their_target() -> None:
    torch.manual_seed(0)
    layer = SparseLayer(12, 30, rho=0.05, sparsity_weight=5.0)
    layer_at_zero = layer.encode(torch.zeros(1, 12))
    torch.testing.assert_close(layer_at_zero, torch.full((1, 30), 0.05))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        layer.loss(X, step())["loss"].backward()
        optimizer.step()
    assert layer.encode(X).mean(0).sub(0.05).abs().max() < 0.05


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: AutoencoderLayer(4, 0), "units is 0: "),
        (lambda: AutoencoderLayer(4, 3, "softsign"), "activation is 'softsign': "),  # type: ignore[arg-type]
        (lambda: DenoisingLayer(4, 3, reconstruction="l1"), "reconstruction is 'l1': "),  # type: ignore[arg-type]
        (lambda: SparseLayer(4, 3, rho=1.0), "rho is 1.0: "),
        (lambda: SparseLayer(4, 3, sparsity_weight=-1), "sparsity_weight is -1: "),
        (lambda: StackNetwork([AutoencoderLayer(4, 3)], 2, dropout=1.0), "dropout is 1.0: "),
        (lambda: StackNetwork([AutoencoderLayer(4, 3)], 2, dropout=-0.1), "dropout is -0.1: "),
    ],
)
def test_impossible_arguments_are_one_clear_line(make: Any, start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        make()
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)


def stack() -> list[StackLayer]:
    return [AutoencoderLayer(12, 8, "relu"), SparseLayer(8, 6), BinaryRBM(6, 5)]


def test_the_network_computes_the_codes_of_the_stack() -> None:
    layers = stack()
    network = StackNetwork(layers, 3, dropout=0.5).eval()
    image = X.view(-1, 3, 2, 2)
    code = X
    for layer in layers:
        code = layer.encode(code)
    torch.testing.assert_close(network.features(image), code)
    assert network.features(image).shape == (200, 5)
    torch.testing.assert_close(network(image), network.head(code))
    assert network(image).shape == (200, 3)


def test_a_gaussian_rbm_is_taken_over_whatever_its_sigma() -> None:
    rbm = GaussianRBM(12, 5, sigma=0.3)
    nn.init.normal_(rbm.encoder.weight)
    network = StackNetwork([rbm], 3)
    torch.testing.assert_close(network.features(X.view(-1, 1, 3, 4)), rbm.encode(X))


def test_weights_are_taken_over_as_copies() -> None:
    layers = stack()
    network = StackNetwork(layers, 3)
    image = X.view(-1, 1, 3, 4)
    before = network.features(image).detach()
    head = network.head.weight.clone()
    with torch.no_grad():
        for layer in layers:
            layer.encoder.weight.add_(1.0)
            layer.encoder.bias.sub_(0.5)
    torch.testing.assert_close(network.features(image), before, rtol=0, atol=0)  # no alias
    network.take_over(layers)
    code = X
    for layer in layers:
        code = layer.encode(code)
    torch.testing.assert_close(network.features(image), code)
    assert not torch.allclose(network.features(image), before)
    assert torch.equal(network.head.weight, head)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert all(layer.encoder.weight.any() for layer in layers)


def test_a_stack_of_another_height_is_not_taken_over() -> None:
    network = StackNetwork(stack(), 3)
    with pytest.raises(ValueError, match="shorter"):
        network.take_over(stack()[:2])


def test_dropout_is_of_each_hidden_layer_and_of_training_only() -> None:
    torch.manual_seed(0)
    network = StackNetwork([SparseLayer(12, 2000), SparseLayer(2000, 1000)], 3, dropout=0.3)
    image = X[:4].view(-1, 1, 3, 4)
    for layer in (1, 2):
        dropped = nn.Sequential(network.flatten, *list(network.hidden)[:layer])(image)
        assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    network.eval()
    assert network.features(image).all()
    assert torch.equal(network(image), network(image))
    plain = StackNetwork(stack(), 3)
    assert torch.equal(plain(X), plain(X))  # in training mode, without dropout


def test_initial_signals_neither_die_nor_explode() -> None:
    torch.manual_seed(0)
    x = torch.rand(500, 400)
    layers: list[StackLayer] = [AutoencoderLayer(400, 400, "relu") for _ in range(6)]
    for layer in layers:
        x = layer.encode(x)
    assert 0.1 < x.std().item() < 1.5
    bound = math.sqrt(6 / 800)
    weight = AutoencoderLayer(400, 400, "tanh").encoder.weight
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
