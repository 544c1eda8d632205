"""The terms and the gradients of each technique of domain adaptation, against computations by hand."""

import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_adaptation import POINTS, SHIFTED, batch, doubled
from torch import Tensor, nn

from datamodules import OracleBatch, PointBatch
from lit_models import CDAN, DAN, DANN, DeepCORAL, SourceOnly, TargetOnly
from networks import MLPFeatures


def linear(rows: list[list[float]]) -> nn.Linear:
    """Linear layer with this matrix and no bias."""
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows, dtype=torch.float32)
    return layer


def tiny(kind: Any, **kwargs: Any) -> Any:
    """The point itself is the feature, (x, 2 y) are the logits, and lambda stays at 0.5."""
    fixed = {"extractor": lambda shape: nn.Flatten(), "classifier": lambda width, classes: linear([[1, 0], [0, 2]])}
    return kind((2,), 2, **fixed, weight=0.5, ramp=0.0, **kwargs)


# Hand computation: cross-entropies of the logits (0, 0) and (2, 0) for the classes 0 and 1.
SQUARE = batch(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 2.0], [2.0, 2.0]]))
CLASSIFICATION = (math.log(2) + math.log(1 + math.exp(2))) / 2


# In the square, squared distances are 4, 4, 4, 4, 8, 8, their mean 16/3; between logits 4, 4, 16, 16, 20, 20 and 40/3.
@pytest.mark.parametrize(
    ("estimator", "feature", "logits"),
    [
        ("biased", 1 - math.exp(-1.5), 1 + math.exp(-0.3) - math.exp(-1.2) - math.exp(-1.5)),
        ("unbiased", math.exp(-0.75) - math.exp(-1.5), 2 * math.exp(-0.3) - math.exp(-1.2) - math.exp(-1.5)),
        ("linear", 2 * math.exp(-0.75) - 2 * math.exp(-1.5), 2 * math.exp(-0.3) - 2 * math.exp(-1.5)),
    ],
)
def test_terms_of_dan(estimator: str, feature: float, logits: float) -> None:
    for layers, distance in ((["feature"], feature), (["logits"], logits), (["feature", "logits"], feature + logits)):
        terms = tiny(DAN, estimator=estimator, bandwidths=[1.0], layers=layers).loss(SQUARE)
        expected = (CLASSIFICATION + 0.5 * distance, CLASSIFICATION, distance)
        assert [term.item() for term in terms] == pytest.approx(expected, rel=1e-5)


def test_a_kernel_of_two_widths_is_a_sum_of_both() -> None:
    one, other, both = (
        tiny(DAN, bandwidths=widths).loss(SQUARE).distance.item() for widths in ([1.0], [0.25], [1.0, 0.25])
    )
    assert both == pytest.approx(one + other)


def test_terms_of_deep_coral() -> None:
    # covariances [[2, 0], [0, 0]] and [[8, 4], [4, 2]] of the features, [[8, 8], [8, 8]] of the target's logits
    pair = batch(SQUARE.source.x, torch.tensor([[0.0, 2.0], [4.0, 4.0]]))
    for arguments, distance in (({}, 228 / 16), ({"layers": ["feature"]}, 72 / 16)):
        terms = tiny(DeepCORAL, **arguments).loss(pair)
        expected = (CLASSIFICATION + 0.5 * distance, CLASSIFICATION, distance)
        assert [term.item() for term in terms] == pytest.approx(expected, rel=1e-5)


def test_terms_of_dann() -> None:
    # log-odds x - y of the source: 0 and 2 in the source, -2 and 0 in the target; at 0 the target is said
    terms = tiny(DANN, discriminator=lambda width, outputs: linear([[1, -1]])).loss(SQUARE)
    domain = (2 * math.log(2) + 2 * math.log(1 + math.exp(-2))) / 4
    expected = (CLASSIFICATION + domain, CLASSIFICATION, domain, 3 / 4)
    assert [term.item() for term in terms] == pytest.approx(expected, rel=1e-5)


def test_terms_of_cdan_and_its_entropy_weights() -> None:
    # logits (0, 0), (100, 0) and (0, 0), (0, 100): entropies log 2, 0; weights 3/2, 2, which is 6/7, 8/7
    pair = batch(torch.tensor([[0.0, 0.0], [100.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 50.0]]))
    # the discriminator sees x g_0, which is 0 and 100 in the source and 0 and 0 in the target, and doubts at 0
    head = {"discriminator": lambda width, outputs: linear([[0.02, 0, 0, 0]])}
    certain = math.log(1 + math.exp(-2))
    for entropy, domain in ((False, [1, 1]), (True, [6 / 7, 8 / 7])):
        found = tiny(CDAN, entropy=entropy, **head).loss(pair).domain.item()
        source, target = domain[0] * math.log(2) + domain[1] * certain, sum(domain) * math.log(2)
        assert found == pytest.approx((source + target) / 4, rel=1e-5)


def test_cdan_sees_the_outer_product() -> None:
    feature, logits = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, math.log(3)]])
    torch.testing.assert_close(tiny(CDAN).joint(feature, logits), torch.tensor([[0.25, 0.75, 0.5, 1.5]]))


def test_inner_products_of_random_features_are_those_of_the_outer_product() -> None:
    torch.manual_seed(0)
    exact, random = tiny(CDAN), tiny(CDAN, random_features=100_000)
    feature, logits = torch.randn(3, 2), torch.randn(3, 2)
    products = [seen @ seen.T for seen in (model.joint(feature, logits) for model in (exact, random))]
    torch.testing.assert_close(products[1], products[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize(("width", "seen"), [(2048, 4096), (2049, 1024)])
def test_outer_products_of_more_than_4096_values_are_randomised(width: int, seen: int) -> None:
    model = CDAN((2,), 2, extractor=partial(MLPFeatures, hidden=(width,)))
    assert model.discriminator[0].in_features == seen
    matrices = {"of_feature", "of_prediction"}
    assert matrices & model.state_dict().keys() == (matrices if seen == 1024 else set())
    assert not matrices & dict(model.named_parameters()).keys()
    assert CDAN((2,), 2, random_features=7).discriminator[0].in_features == 7


def domain_loss(model: Any, feature: Tensor, prediction: Tensor) -> Tensor:
    """The discriminator's cross-entropy, written down once more without a reversal; predictions are constants."""
    prediction, seen = prediction.detach(), feature
    weight = torch.ones(len(feature), dtype=torch.float64)
    if isinstance(model, CDAN):
        seen = torch.einsum("bd,bk->bdk", feature, prediction).flatten(1)
        if model.entropy:
            weight = 1 + torch.distributions.Categorical(prediction).entropy().neg().exp()
            weight = torch.cat([weight[:8] / weight[:8].mean(), weight[8:] / weight[8:].mean()])
    is_source = torch.tensor([1.0] * 8 + [0.0] * 8, dtype=torch.float64)
    return F.binary_cross_entropy_with_logits(model.discriminator(seen).flatten(), is_source, weight)


@pytest.mark.parametrize("name", ["dann", "cdan", "cdan_e"])
def test_the_extractor_is_driven_against_the_discriminator(name: str) -> None:
    model, pair = doubled(name), batch(POINTS.double(), SHIFTED.double())
    model.loss(pair).total.backward()
    found = {part: [p.grad for p in getattr(model, part).parameters()] for part in ("extractor", "discriminator")}
    found["classifier"] = [p.grad for p in model.classifier.parameters()]

    feature = model.extractor(torch.cat([pair.source.x, pair.target.x]))
    logits = model.classifier(feature)
    classification = F.cross_entropy(logits[:8], pair.source.label)
    domain = domain_loss(model, feature, logits.softmax(1))
    objective = {"extractor": classification - 0.75 * domain, "discriminator": domain, "classifier": classification}
    for part, loss in objective.items():
        expected = torch.autograd.grad(loss, list(getattr(model, part).parameters()), retain_graph=True)
        torch.testing.assert_close(found[part], list(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["dan", "dan_unbiased", "dan_linear", "deep_coral"])
def test_a_weight_of_zero_leaves_the_source_alone(name: str) -> None:
    gradients = []
    for model in (doubled(name, weight) for weight in (0.0, 1.0)):
        model.loss(batch(POINTS.double(), SHIFTED.double())).total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    alone = doubled(name)
    F.cross_entropy(alone(POINTS.double()), batch().source.label).backward()
    expected = torch.cat([p.grad.flatten() for p in alone.parameters()])
    torch.testing.assert_close(gradients[0], expected)
    assert (gradients[1] - expected).abs().max() > 1e-4


def test_the_upper_bound_needs_labels_of_the_target_and_the_lower_bound_no_target() -> None:
    with pytest.raises(ValueError, match="only OracleDomainPair has"):
        TargetOnly((2,), 2).loss(batch())
    labelled = PointBatch(SHIFTED, torch.arange(8) % 2, torch.arange(8))
    torch.manual_seed(0)
    bounds = TargetOnly((2,), 2), SourceOnly((2,), 2)
    for model, labels, point in zip(bounds, (OracleBatch(labelled), batch()), (SHIFTED, POINTS), strict=True):
        expected = F.cross_entropy(model(point), labelled.label)
        torch.testing.assert_close(model.loss(labels).total, expected)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (DANN, {"weight": -1.0}, "weight is -1.0"),
        (DANN, {"num_classes": 1}, "num_classes is 1"),
        (DAN, {"layers": []}, r"layers is \[\]"),
        (DAN, {"layers": ["logits", "logits"]}, "choose feature, logits or both"),
        (DeepCORAL, {"layers": ["pixels"]}, r"layers is \['pixels'\]"),
        (DAN, {"bandwidths": [1.0, 0.0]}, r"bandwidths is \[1.0, 0.0\]"),
        (CDAN, {"random_features": -1}, "random_features is -1"),
    ],
)
def test_impossible_arguments(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind((2,), **{"num_classes": 2, **arguments})
