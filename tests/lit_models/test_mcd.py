"""Maximum classifier discrepancy: what each of the three steps minimises, whose weights it moves, and what counts."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from small_gan import weights
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader

from datamodules import DomainBatch, DomainPair, PointBatch, TwoMoons, UnlabelledPointBatch
from lit_models import MCD
from networks import DomainBatchNorm, MLPFeatures, MLPHead

SMALL: dict[str, Any] = {
    "extractor": partial(MLPFeatures, hidden=(6, 5), activation="tanh"),
    "classifier": partial(MLPHead, hidden=(4,)),
    "extractor_optimizer": partial(SGD, lr=0.1),
    "classifier_optimizer": partial(SGD, lr=0.1),
}
NETWORKS = ("extractor", "classifier", "second_classifier")


def small(**arguments: Any) -> MCD:
    torch.manual_seed(0)
    return MCD((2,), 2, **{**SMALL, **arguments})


def moons(**arguments: Any) -> DomainPair:
    return DomainPair(source=TwoMoons(), target=TwoMoons(rotation=35), **{"batch_size": 50, **arguments})


@pytest.fixture
def pair() -> DomainBatch:
    """Eight points of each domain."""
    generator = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 8, 2, generator=generator)
    index = torch.arange(8)
    return DomainBatch(PointBatch(source, index % 2, index), UnlabelledPointBatch(target + 1, index))


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def test_the_terms_are_those_of_the_paper(pair: DomainBatch) -> None:
    model = MCD((2,), 3, extractor=lambda shape: linear(2, 4), classifier=linear)
    extract, *heads = (getattr(model, name).weight.detach().double().numpy().T for name in NETWORKS)
    assert not np.allclose(*heads)

    def probabilities(x: Tensor, head: np.ndarray) -> np.ndarray:
        exponentials = np.exp(x.double().numpy() @ extract @ head)
        return np.asarray(exponentials / exponentials.sum(1, keepdims=True))

    of_source, of_target = ([probabilities(x, head) for head in heads] for x in (pair.source.x, pair.target.x))
    label = pair.source.label.numpy()
    classification = -sum(np.log(p[np.arange(8), label]).mean() for p in of_source)
    difference = np.abs(of_target[0] - of_target[1]).sum(1).mean() / 3
    first, *_ = model.source_terms(pair).values()
    assert first.item() == pytest.approx(classification, rel=1e-5)
    first, reported = model.classifier_terms(pair).values()
    assert first.item() == pytest.approx(classification - difference, rel=1e-5)
    assert reported.item() == pytest.approx(difference, rel=1e-5)
    first, *_ = model.extractor_terms(pair).values()
    assert first.item() == pytest.approx(difference, rel=1e-5)
    together = np.log(of_target[0]) + np.log(of_target[1])
    assert model(pair.target.x).argmax(1).tolist() == together.argmax(1).tolist()


class Observed(MCD):
    """Notes by how much each turn moves each network, and the discrepancy on a fixed batch around each."""

    def turn(self, *arguments: Any, **settings: Any) -> Any:
        before = [weights(getattr(self, name)) for name in NETWORKS]
        difference = self.extractor_terms(self.fixed)["extractor_loss"].item()
        terms = super().turn(*arguments, **settings)
        after = [weights(getattr(self, name)) for name in NETWORKS]
        self.moves.append([float((new - old).norm()) for new, old in zip(after, before, strict=True)])
        self.rises.append(self.extractor_terms(self.fixed)["extractor_loss"].item() - difference)
        return terms


def observe(fit: Callable[[MCD], None], pair: DomainBatch, **arguments: Any) -> Observed:
    torch.manual_seed(0)
    model = Observed((2,), 2, **{**SMALL, **arguments})
    model.fixed, model.moves, model.rises = pair, [], []  # type: ignore[assignment]
    fit(model)
    return model


def test_each_step_moves_its_own_networks(pair: DomainBatch, make_trainer: Callable[..., Trainer]) -> None:
    fit = lambda model: make_trainer(max_steps=2, limit_val_batches=0).fit(model, moons())  # noqa: E731
    moved = [[move > 0 for move in turn] for turn in observe(fit, pair, steps=3).moves]
    assert moved == [[True, True, True], [False, True, True], *[[True, False, False]] * 3] * 2


def test_heads_raise_the_discrepancy_and_the_extractor_lowers_it(
    pair: DomainBatch, make_trainer: Callable[..., Trainer]
) -> None:
    # at the origin networks without biases know no classes, so the cross-entropy has no gradient
    nothing = pair._replace(source=pair.source._replace(point=torch.zeros(8, 2)))
    fit = lambda model: make_trainer(max_steps=4).fit(model, DataLoader([nothing] * 4, batch_size=None))  # noqa: E731
    bare = {"extractor": lambda shape: linear(2, 3), "classifier": linear, "steps": 2}
    rises = observe(fit, nothing, **bare).rises
    assert len(rises) == 4 * 4
    assert all(abs(rise) < 1e-7 for rise in rises[0::4])
    assert all(rise > 1e-5 for rise in rises[1::4])
    assert all(rise < -1e-5 for rise in (*rises[2::4], *rises[3::4]))


def test_schedules_and_max_steps_count_batches(make_trainer: Callable[..., Trainer]) -> None:
    model = small(
        steps=3,
        extractor_scheduler=partial(StepLR, step_size=1, gamma=0.5),
        classifier_scheduler=partial(StepLR, step_size=1, gamma=0.8),
    )
    trainer = make_trainer(max_steps=5, limit_val_batches=0)
    trainer.fit(model, moons())
    assert trainer.global_step == model.batch_step == 5
    rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]
    assert rates == pytest.approx([0.1 * 0.5**5, 0.1 * 0.8**5])


def test_parts_of_a_batch_add_up_to_the_batch(make_trainer: Callable[..., Trainer]) -> None:
    ends = []
    for accumulate in (1, 3):
        model = small(accumulate=accumulate)
        make_trainer(max_steps=4, limit_val_batches=0).fit(model, moons())
        ends.append(weights(model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def test_each_player_is_clipped_by_its_own_norm(pair: DomainBatch, make_trainer: Callable[..., Trainer]) -> None:
    fit = lambda model: make_trainer(max_steps=1, limit_val_batches=0).fit(model, moons())  # noqa: E731
    rate = {f"{name}_optimizer": partial(SGD, lr=1.0) for name in ("extractor", "classifier")}
    jointly, heads, *_ = observe(fit, pair, gradient_clip=1e-3, **rate).moves
    assert jointly[0] == pytest.approx(1e-3, rel=1e-3)
    for moves in (jointly, heads):
        assert (moves[1] ** 2 + moves[2] ** 2) ** 0.5 == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("batch_norm", "domain_statistics", "reached"), [(False, False, False), (True, False, True), (True, True, False)]
)
def test_the_source_reaches_the_last_step_only_by_mixed_statistics(
    pair: DomainBatch, batch_norm: bool, domain_statistics: bool, reached: bool
) -> None:
    extractor = partial(MLPFeatures, hidden=(6,), batch_norm=batch_norm)
    model = small(extractor=extractor, domain_statistics=domain_statistics)
    pair.source.x.requires_grad_()
    loss = model.extractor_terms(pair)["extractor_loss"]
    (gradient,) = torch.autograd.grad(loss, pair.source.x, allow_unused=True)
    assert (gradient is not None and bool(gradient.any())) == reached


def test_both_heads_keep_the_domains_apart() -> None:
    model = small(classifier=partial(MLPHead, hidden=(4,), batch_norm=True), domain_statistics=True)
    for head in (model.classifier, model.second_classifier):
        (layer,) = [layer for layer in head.modules() if isinstance(layer, DomainBatchNorm)]
        assert layer.domain == "both"
    assert model(torch.randn(3, 2)).shape == (3, 2)


def test_no_step_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"^steps is 0: the features adapt in 1 or more$"):
        small(steps=0)
