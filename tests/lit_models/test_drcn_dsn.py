"""The two techniques that reconstruct: their terms by hand, what reaches which network, and reconstructions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from callbacks.protocols import Reconstructive
from datamodules import (
    DomainBatch,
    ImageBatch,
    PointBatch,
    UnlabelledImageBatch,
    UnlabelledPointBatch,
)
from lit_models import DRCN, DSN
from networks import GaussianCorruption, MaskingCorruption, MLPFeatures, MLPHead
from objectives import mmd

WIDTH = 4


def linear(*sizes: Any) -> nn.Linear:
    """A layer between two widths, or from and to the shape of points."""
    inputs, outputs = (size[0] if isinstance(size, tuple) else size for size in (*sizes, WIDTH)[:2])
    return nn.Linear(inputs, outputs, bias=False)


LINEAR: dict[str, Any] = {"extractor": linear, "classifier": linear, "decoder": linear}


@pytest.fixture
def pair() -> DomainBatch:
    """Eight points of each domain."""
    generator = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 8, 3, generator=generator)
    index = torch.arange(8)
    return DomainBatch(PointBatch(source, index % 2, index), UnlabelledPointBatch(target + 1, index))


def matrices(model: nn.Module, *names: str) -> list[np.ndarray]:
    return [getattr(model, name).weight.detach().double().numpy().T for name in names]


def numpy(x: Tensor) -> np.ndarray:
    return x.detach().double().numpy()


def cross_entropy_by_hand(logits: np.ndarray, label: Tensor) -> float:
    rows = logits[np.arange(len(label)), label.numpy()]
    return float((np.log(np.exp(logits).sum(1)) - rows).mean())


def gradients(loss: Tensor, module: nn.Module) -> Tensor:
    parts = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(weight).flatten() if part is None else part.flatten()
            for part, weight in zip(parts, module.parameters(), strict=True)
        ]
    )


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_drcn_weighs_classes_and_reconstruction(pair: DomainBatch, share: float) -> None:
    model = DRCN((3,), 2, supervised_share=share, corruption=GaussianCorruption(0.0), **LINEAR)
    extract, classify, decode = matrices(model, "extractor", "classifier", "decoder")
    classification = cross_entropy_by_hand(numpy(pair.source.x) @ extract @ classify, pair.source.label)
    target = numpy(pair.target.x)
    reconstruction = ((target @ extract @ decode - target) ** 2).mean()
    terms = model.loss(pair)
    assert terms.classification.item() == pytest.approx(classification, rel=1e-5)
    assert terms.reconstruction.item() == pytest.approx(reconstruction, rel=1e-5)
    assert terms.total.item() == pytest.approx(share * classification + (1 - share) * reconstruction, rel=1e-5)


def test_drcn_sees_the_target_corrupted_and_gives_it_back_clean(pair: DomainBatch) -> None:
    model = DRCN((3,), 2, corruption=MaskingCorruption(1.0), **LINEAR)  # nothing is left, so zeros come out
    assert model.loss(pair).reconstruction.item() == pytest.approx(pair.target.x.square().mean().item(), rel=1e-5)
    noisy = DRCN((3,), 2, **LINEAR)
    assert noisy.loss(pair).reconstruction != noisy.loss(pair).reconstruction  # new noise in each step
    assert noisy.loss(pair).classification == noisy.loss(pair).classification


def test_drcn_decodes_the_target_alone(pair: DomainBatch) -> None:
    model = DRCN((3,), 2, **LINEAR)
    pair.source.x.requires_grad_()
    terms = model.loss(pair)
    (of_source,) = torch.autograd.grad(terms.reconstruction, pair.source.x, retain_graph=True)
    assert not of_source.any()
    assert gradients(terms.reconstruction, model.extractor).any()
    assert not gradients(terms.reconstruction, model.classifier).any()
    assert not gradients(terms.classification, model.decoder).any()


def dsn(**arguments: Any) -> DSN:
    torch.manual_seed(0)
    model = DSN((3,), 2, **{**LINEAR, "ramp": 0.0, "weight": 0.3, "discriminator": linear, **arguments})
    return model


@pytest.mark.parametrize("reconstruction", ["scale_invariant", "mse"])
def test_the_terms_of_dsn_are_those_of_the_paper(pair: DomainBatch, reconstruction: Any) -> None:
    model = dsn(reconstruction=reconstruction, reconstruction_weight=0.7, difference_weight=0.2)
    names = ("extractor", "classifier", "decoder", "discriminator", "private_source", "private_target")
    extract, classify, decode, discriminate, *private = matrices(model, *names)
    error = apart = domain = 0.0
    for own, batch, is_source in zip(private, pair, (True, False), strict=True):
        x = numpy(batch.x)
        e = x @ (extract + own) @ decode - x
        error += (e**2).mean() - ((e.sum(1) / 3) ** 2).mean() * (reconstruction == "scale_invariant")
        shared, alone = ((h - h.mean(0)) for h in (x @ extract, x @ own))
        shared, alone = (h / np.linalg.norm(h, axis=1, keepdims=True) for h in (shared, alone))
        apart += np.linalg.norm(shared.T @ alone, "fro") ** 2 / 64
        odds = (x @ extract @ discriminate) * (1 if is_source else -1)
        domain += np.log1p(np.exp(-odds)).mean() / 2
    classification = cross_entropy_by_hand(numpy(pair.source.x) @ extract @ classify, pair.source.label)
    expected = [classification + 0.7 * error + 0.2 * apart + domain, classification, error, apart, domain]
    assert [term.item() for term in model.loss(pair)] == pytest.approx(expected, rel=1e-5)


def test_the_shared_encoder_gets_the_reversed_gradient_of_the_discriminator(pair: DomainBatch) -> None:
    model = dsn(reconstruction_weight=0.0, difference_weight=0.0)
    terms = model.loss(pair)
    log_odds = model.discriminator(model.extractor(torch.cat([pair.source.x, pair.target.x])))
    honest = F.binary_cross_entropy_with_logits(log_odds, (torch.arange(16) < 8).float().unsqueeze(1))
    torch.testing.assert_close(
        gradients(terms.total - terms.classification, model.extractor), -0.3 * gradients(honest, model.extractor)
    )
    torch.testing.assert_close(gradients(terms.total, model.discriminator), gradients(honest, model.discriminator))
    for private in (model.private_source, model.private_target):
        assert not gradients(terms.total, private).any()


def test_dsn_may_bring_the_codes_together_by_mmd(pair: DomainBatch) -> None:
    model = dsn(similarity="mmd", discriminator=None, reconstruction_weight=0.0, difference_weight=0.0)
    terms = model.loss(pair)
    expected = mmd(model.extractor(pair.source.x), model.extractor(pair.target.x))
    torch.testing.assert_close(terms.similarity, expected)
    torch.testing.assert_close(terms.total, terms.classification + 0.3 * expected)
    assert not hasattr(model, "discriminator")


class Column(nn.Module):
    """Keeps one coordinate, so that the code is known."""

    def __init__(self, column: int) -> None:
        super().__init__()
        self.column = column

    def forward(self, x: Tensor) -> Tensor:
        return F.one_hot(torch.tensor(self.column), WIDTH) * x[:, [self.column]]


@pytest.mark.parametrize(
    ("column", "expected"), [(1, 0.0), (0, 2.0)]
)  # another coordinate, or the shared one: 1 a domain
def test_orthogonal_codes_are_no_difference(column: int, expected: float) -> None:
    point = torch.tensor([[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]])
    index = torch.arange(4)
    square = DomainBatch(PointBatch(point, index % 2, index), UnlabelledPointBatch(2 * point, index))
    model = dsn(extractor=lambda shape: Column(0), private_extractor=lambda shape: Column(column))
    assert model.loss(square).difference.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("technique", [DRCN, DSN])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 7)], ids=str)
def test_reconstructions_are_images(technique: Any, shape: tuple[int, ...]) -> None:
    model = technique(shape, 10, extractor=partial(MLPFeatures, hidden=(16,)))
    with torch.no_grad():
        last = [layer for layer in model.decoder.modules() if isinstance(layer, nn.ConvTranspose2d)][-1]
        last.weight *= 100
    image, index = torch.rand(12, *shape), torch.arange(12)
    model.loss(DomainBatch(ImageBatch(image, index % 10, index), UnlabelledImageBatch(image, index))).total.backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert isinstance(model, Reconstructive)
    made = model.eval().reconstruct(image)
    assert made.shape == image.shape
    assert made.dtype == torch.float32
    assert (made.min(), made.max()) == (0, 1)


@pytest.mark.parametrize("technique", [DRCN, DSN])
def test_reconstructions_of_points_are_unbounded(technique: Any) -> None:
    model = technique((2,), 2, classifier=partial(MLPHead, hidden=()))
    far = model.reconstruct(1000 * torch.randn(20, 2))
    assert far.shape == (20, 2)
    assert far.min() < 0 < 1 < far.max()


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (partial(DRCN, supervised_share=0.0), "supervised_share is 0.0:"),
        (partial(DRCN, supervised_share=1.5), "supervised_share is 1.5:"),
        (partial(DSN, similarity="coral"), "similarity is 'coral':"),
        (partial(DSN, similarity="mmd", discriminator=linear), "similarity is 'mmd':"),
        (partial(DSN, reconstruction="bce"), "reconstruction is 'bce':"),
        (partial(DSN, reconstruction_weight=-1.0), "reconstruction_weight is -1.0:"),
        (partial(DSN, difference_weight=-1.0), "difference_weight is -1.0:"),
        (partial(DSN, weight=-1.0), "weight is -1.0:"),
        (partial(DSN, private_extractor=partial(MLPFeatures, hidden=(7,))), "private_extractor gives 7 features"),
    ],
)
def test_an_impossible_argument_is_one_clear_line(make: Callable[..., Any], start: str) -> None:
    with pytest.raises(ValueError, match=r".+") as error:
        make((2,), 2)
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)
