"""Scores that need no labels of the target."""

from math import log
from time import process_time

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score
from torch import Tensor
from torchmetrics import Metric

from metrics import (
    BatchNuclearNorm,
    ClassAMI,
    DeepEmbeddedValidation,
    InformationMaximisation,
    PredictionEntropy,
    ProxyADistance,
)

SURE = 200 * torch.eye(4).repeat(5, 1)  # 20 examples, 5 sure of each of 4 classes
UNIFORM = torch.zeros(20, 4)
COLLAPSED = 200 * torch.eye(4)[:1].repeat(20, 1)  # all sure of the same class


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def score(metric: Metric, *batch: Tensor) -> float:
    metric.update(*batch)
    return float(metric.compute())


@pytest.mark.parametrize(
    ("kind", "sure", "uniform", "collapsed"),
    [
        (InformationMaximisation, log(4), 0, 0),
        (PredictionEntropy, 0, log(4), 0),
        (BatchNuclearNorm, 1, 1 / 4, 1 / 2),
    ],
)
def test_extremes(kind: type[Metric], sure: float, uniform: float, collapsed: float) -> None:
    for logits, expected in ((SURE, sure), (UNIFORM, uniform), (COLLAPSED, collapsed)):
        assert score(kind(), logits) == pytest.approx(expected, abs=1e-12)


def test_scores_of_predictions_against_numpy() -> None:
    logits = 3 * drawn(0, 50, 4)
    odds = np.exp(logits.double().numpy())
    p = odds / odds.sum(1, keepdims=True)
    entropy = -(p * np.log(p)).sum(1).mean()
    mean = p.mean(0)
    assert score(PredictionEntropy(), logits) == pytest.approx(entropy)
    assert score(InformationMaximisation(), logits) == pytest.approx(-(mean * np.log(mean)).sum() - entropy)
    assert score(BatchNuclearNorm(), logits) == pytest.approx(np.linalg.norm(p, "nuc") / np.sqrt(50 * 4))
    assert score(BatchNuclearNorm(), logits[:3]) == pytest.approx(np.linalg.norm(p[:3], "nuc") / 3)


def blobs(seed: int, spread: float) -> tuple[Tensor, Tensor]:
    """300 features around 3 far apart centres, and of which each is."""
    label = torch.arange(300) % 3
    return 10 * torch.eye(3, 6)[label] + spread * drawn(seed, 300, 6), label


def one_hot(label: Tensor) -> Tensor:
    return 5 * torch.nn.functional.one_hot(label, 3).float()


def test_classes_that_are_the_clusters_agree_with_them() -> None:
    feature, label = blobs(0, 0.5)
    assert score(ClassAMI(), feature, one_hot(label)) == pytest.approx(1)
    assert score(ClassAMI(), feature, one_hot((label + 1) % 3)) == pytest.approx(1)  # names do not count


def test_classes_that_are_partly_the_clusters_agree_in_part() -> None:
    feature, label = blobs(0, 0.5)
    guessed = torch.where(torch.arange(300) % 5 == 0, (label + 1) % 3, label)
    # the clusters are the labels, so that their information can be told without finding them
    expected = adjusted_mutual_info_score(guessed.numpy(), label.numpy())
    assert 0.2 < expected < 0.9
    assert score(ClassAMI(), feature, one_hot(guessed)) == pytest.approx(expected)


def test_classes_that_have_nothing_to_do_with_the_features_do_not_agree() -> None:
    feature, _ = blobs(0, 0.5)
    chance = torch.randint(3, (300,), generator=torch.Generator().manual_seed(1))
    assert score(ClassAMI(), feature, one_hot(chance)) == pytest.approx(0, abs=0.03)


def test_a_collapsed_model_does_not_agree() -> None:
    feature, label = blobs(0, 0.5)
    nothing = torch.zeros_like(label)
    assert score(ClassAMI(), feature, one_hot(nothing)) == 0
    assert score(ClassAMI(), torch.ones_like(feature), one_hot(nothing)) == 0
    assert score(ClassAMI(), torch.ones_like(feature), one_hot(label)) == 0


def risks(normalise: bool, source: Tensor, loss: Tensor, target: Tensor, limit: int = 1000) -> float:
    metric = DeepEmbeddedValidation(limit, normalise)
    metric.update(source, loss)
    metric.update(target)
    return float(metric.compute())


@pytest.mark.parametrize("normalise", [True, False])
def test_with_equal_weights_it_is_the_risk(normalise: bool) -> None:
    loss = drawn(0, 40).exp()
    found = risks(normalise, torch.ones(40, 3), loss, torch.ones(30, 3))
    assert found == pytest.approx(loss.mean().item())


@pytest.mark.parametrize("normalise", [True, False])
def test_a_constant_loss_is_the_risk_whatever_the_weights(normalise: bool) -> None:
    found = risks(normalise, drawn(0, 200, 3), torch.full((200,), 0.7), drawn(1, 150, 3) + 1)
    assert found == pytest.approx(0.7)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_under_a_shift_it_estimates_the_risk_on_the_target(shift: float) -> None:
    def loss(x: Tensor) -> Tensor:
        return (2 * x[:, 0] - 2).sigmoid()

    move = torch.tensor([shift, 0, 0, 0, 0])
    errors = []
    for seed in range(4):
        source, target = drawn(2 * seed, 800, 5), drawn(2 * seed + 1, 800, 5) + move
        found = risks(False, source, loss(source), target)
        errors.append((found - loss(target).mean().item(), (loss(source).mean() - loss(target).mean()).item()))
    ours, of_the_source = np.abs(errors).T
    assert (ours < 0.5 * of_the_source).all()


@pytest.mark.parametrize("normalise", [True, False])
def test_the_model_that_fails_on_the_target_scores_worse(normalise: bool) -> None:
    source, target = drawn(0, 400, 3), drawn(1, 400, 3) + torch.tensor([1.5, 0, 0])
    worse_there = (source[:, 0] > 0.7).float()
    worse_elsewhere = (source[:, 0] < 0.0).float()  # and on the source: half of it is lost
    assert worse_there.mean() < worse_elsewhere.mean()
    assert risks(normalise, source, worse_there, target) > risks(normalise, source, worse_elsewhere, target) + 0.2


def by_hand(weight: np.ndarray, loss: np.ndarray) -> float:
    """The residual of the weighted loss after its regression on the weights, whose mean is 1."""
    slope, intercept = np.polyfit(weight, weight * loss, 1)
    return float(intercept + slope)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_control_variate_is_a_regression(normalise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = drawn(3, 50).exp()
    monkeypatch.setattr("metrics.selection.cross_fitted_log_odds", lambda source, target: (source[:, 0], target[:, 0]))
    source = drawn(0, 50, 2)
    weight = np.exp(source[:, 0].double().numpy())
    expected = by_hand(weight / weight.max() if normalise else weight, loss.double().numpy())
    assert risks(normalise, source, loss, drawn(1, 40, 2)) == pytest.approx(expected)


def distance(source: Tensor, target: Tensor, limit: int = 1000) -> float:
    metric = ProxyADistance(limit)
    metric.update(source, "source")
    metric.update(target, "target")
    return float(metric.compute())


def test_domains_that_are_the_same_are_near() -> None:
    found = [distance(source, target) for source, target in drawn(0, 30, 2, 400, 5)]
    assert np.std(found) < 0.15  # of 800 coins the share of heads has a deviation of 0.018, the distance 4 times that
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_features_that_say_nothing_are_near() -> None:
    assert distance(torch.ones(30, 3), torch.ones(50, 3)) == 0


def test_domains_that_can_be_told_apart_are_far() -> None:
    assert distance(drawn(0, 100, 5), drawn(1, 100, 5) + 20) == 2
    assert distance(drawn(0, 100, 5), 1e4 * (drawn(1, 37, 5) + 20)) == 2


def test_the_distance_of_two_normals_is_that_of_the_best_linear_classifier() -> None:
    """At means 1 apart the best threshold is half way, which leaves Phi(-1/2) of either on the wrong side."""
    error = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(-0.5)).item()
    move = torch.tensor([1.0, 0.0])
    for sizes in ((4000, 4000), (4000, 1000)):  # no more of one domain than of the other counts
        found = distance(drawn(0, sizes[0], 2), drawn(1, sizes[1], 2) + move, limit=4000)
        assert found == pytest.approx(2 * (1 - 2 * error), abs=0.1)


def fed(splits: list[list[Tensor]], loss: Tensor) -> dict[str, float]:
    """All scores of features that come in these batches, by position."""
    source, target = drawn(10, 120, 4), drawn(11, 90, 4) + 0.5
    logits = 2 * target[:, :3]
    metrics: dict[str, Metric] = {
        "im": InformationMaximisation(),
        "entropy": PredictionEntropy(),
        "bnm": BatchNuclearNorm(),
        "ami": ClassAMI(50),
        "dev": DeepEmbeddedValidation(60),
        "a": ProxyADistance(60),
    }
    for rows in splits[0]:
        metrics["dev"].update(source[rows], loss[rows])
        metrics["a"].update(source[rows], "source")
    for rows in splits[1]:
        for name in ("im", "entropy", "bnm"):
            metrics[name].update(logits[rows])
        metrics["ami"].update(target[rows], logits[rows])
        metrics["dev"].update(target[rows])
        metrics["a"].update(target[rows], "target")
    return {name: float(metric.compute()) for name, metric in metrics.items()}


def test_neither_batches_nor_order_count() -> None:
    loss = drawn(12, 120).exp()
    whole = fed([[torch.arange(120)], [torch.arange(90)]], loss)
    shuffled = [torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (120, 90)]
    pieces = fed([list(rows.split(7)) for rows in shuffled], loss)
    assert pieces == pytest.approx(whole, rel=1e-9)
    assert len({round(value, 6) for value in whole.values()}) == 6


def test_nothing_global_is_drawn() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    fed([[torch.arange(120)], [torch.arange(90)]], torch.ones(120))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()


def test_broken_features_give_nan() -> None:
    broken = drawn(0, 20, 3)
    broken[3, 1] = torch.nan
    assert np.isnan(score(ClassAMI(), broken, one_hot(torch.arange(20) % 3)))
    assert np.isnan(distance(broken, drawn(1, 20, 3)))
    assert np.isnan(risks(True, drawn(1, 20, 3), torch.ones(20), broken))
    for kind in (InformationMaximisation, PredictionEntropy, BatchNuclearNorm):
        assert np.isnan(score(kind(), broken))


def test_too_few_examples_are_one_clear_line() -> None:
    with pytest.raises(ValueError, match="ProxyADistance was given 1 source and 5 target examples:"):
        distance(torch.zeros(1, 2), torch.zeros(5, 2))
    metric = DeepEmbeddedValidation()
    metric.update(torch.zeros(5, 2), torch.zeros(5))
    with pytest.raises(ValueError, match="DeepEmbeddedValidation was given 5 source and 0 target examples:"):
        metric.compute()
    for kind in (ClassAMI, DeepEmbeddedValidation, ProxyADistance):
        with pytest.raises(ValueError, match="limit is 1:"):
            kind(1)


def test_all_together_are_quick() -> None:
    source, target = drawn(0, 2000, 100), drawn(1, 2000, 100) + 0.1
    logits = 3 * target[:, :10]
    fed([[torch.arange(120)], [torch.arange(90)]], torch.ones(120))  # imports what is slow to import
    start = process_time()
    for kind in (InformationMaximisation, PredictionEntropy, BatchNuclearNorm):
        score(kind(), logits)
    score(ClassAMI(), target, logits)
    risks(True, source, torch.ones(2000), target)
    distance(source, target)
    assert process_time() - start < 1.5
