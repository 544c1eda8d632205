"""The deep belief network: what it draws, and how likely its lowest machine finds the data."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader

import lit_models.dbn
from callbacks import GreedyPretraining
from datamodules import Digits, ImageBatch
from lit_models import DeepBeliefNetwork
from metrics import KernelDistance, exact_log_partition
from networks import AutoencoderLayer, BinaryRBM, GaussianRBM

SHAPE = (1, 8, 8)
SMALL = [partial(BinaryRBM, units=12), partial(BinaryRBM, units=9)]
ESTIMATED = {"test/layer1/log_z", "test/layer1/log_z_error", "test/layer1/log_likelihood"}


def scatter(model: DeepBeliefNetwork, std: float) -> DeepBeliefNetwork:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.layers.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)
    return model


def training_images() -> Tensor:
    return torch.cat(list(Digits().training_images()))


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        ([partial(AutoencoderLayer, units=8)], 1),
        ([partial(BinaryRBM, units=8), partial(AutoencoderLayer, units=8)], 2),
    ],
)
def test_a_layer_that_is_no_machine_is_one_clear_line(layers: Any, place: int) -> None:
    with pytest.raises(ValueError, match=f"^layers: layer {place} is AutoencoderLayer, which a deep belief") as error:
        DeepBeliefNetwork(SHAPE, 10, layers)
    assert "\n" not in str(error.value)


def test_real_valued_inputs_are_for_the_lowest_layer() -> None:
    with pytest.raises(ValueError, match=r"^layers: layer 2 is GaussianRBM, whose inputs are real numbers") as error:
        DeepBeliefNetwork(SHAPE, 10, [partial(BinaryRBM, units=8), partial(GaussianRBM, units=8)])
    assert "\n" not in str(error.value)
    DeepBeliefNetwork(SHAPE, 10, [partial(GaussianRBM, units=8), partial(BinaryRBM, units=8)])


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"layers": []}, r"layers is \[\]: "),
        ({"gibbs_steps": 0}, "gibbs_steps is 0: "),
        ({"ais_chains": -1}, "ais_chains is -1: "),
        ({"ais_chains": 1}, "ais_chains is 1: "),
        ({"ais_temperatures": 0}, "ais_temperatures is 0: "),
        ({"dropout": 1.0}, "dropout is 1.0: "),
        ({"num_classes": 1}, "num_classes is 1: "),
    ],
    ids=str,
)
def test_an_impossible_argument_is_one_clear_line(arguments: Any, start: str) -> None:
    with pytest.raises(ValueError, match=f"^{start}") as error:
        DeepBeliefNetwork(SHAPE, **{"num_classes": 10, **arguments})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("lowest", [BinaryRBM, GaussianRBM])
def test_samples_follow_from_the_global_seed(lowest: Any) -> None:
    layers = [partial(lowest, units=12), partial(BinaryRBM, units=9)]
    model = scatter(DeepBeliefNetwork(SHAPE, 10, layers, gibbs_steps=3), std=1.0)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(model.sample(7))
    assert drawn[0].shape == (7, *SHAPE)
    assert drawn[0].dtype == torch.float32
    assert drawn[0].min() >= 0
    assert drawn[0].max() <= 1
    assert len(drawn[0].unique(dim=0)) == 7
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not drawn[0].requires_grad


def test_it_has_no_classes_to_draw() -> None:
    with pytest.raises(ValueError, match=r"^label is 3: DeepBeliefNetwork generates without classes, leave it out$"):
        DeepBeliefNetwork(SHAPE, 10, SMALL).sample(2, label=3)


@pytest.mark.parametrize("depth", [1, 2])
def test_samples_have_the_distribution_of_the_enumerated_network(depth: int) -> None:
    """Means of the image given the lowest hidden units h, each as often as the highest machine's p makes h."""
    layers = [partial(BinaryRBM, units=3), partial(BinaryRBM, units=2)][:depth]
    model = scatter(DeepBeliefNetwork((1, 2, 2), 2, layers, gibbs_steps=50), std=1.0)
    top: Any = model.layers[-1]
    visible, hidden = (
        torch.tensor(list(product((0.0, 1.0), repeat=units))) for units in reversed(top.encoder.weight.shape)
    )
    energy = -(visible @ top.visible_bias)[:, None] - hidden @ top.encoder.bias
    mass = (visible @ top.encoder.weight.T @ hidden.T - energy).exp()
    joint = mass / mass.sum()
    lowest: Any = model.layers[0]
    probability, states = (joint.sum(0), hidden) if depth == 1 else (joint.sum(1), visible)
    means = (states @ lowest.encoder.weight + lowest.visible_bias).sigmoid().detach()  # (8, 4)
    assert probability.std() > 0.05
    torch.manual_seed(0)
    n = 20_000
    drawn = model.sample(n).flatten(1)
    distance, place = torch.cdist(drawn, means).min(1)
    assert distance.max() < 1e-3
    share = torch.bincount(place, minlength=8) / n
    assert ((share - probability) / (probability * (1 - probability) / n).sqrt()).abs().max() < 4.5


def test_samples_come_close_to_the_data(make_trainer: Callable[..., Any]) -> None:
    def distance(samples: Tensor) -> float:
        metric = KernelDistance("energy")
        metric.update(images.flatten(1), real=True)
        metric.update(samples.flatten(1), real=False)
        return metric.compute().item()

    def covariance(images: Tensor) -> Tensor:
        return images.flatten(1).T.cov().triu(1).flatten()

    images = training_images()
    torch.manual_seed(0)
    model = DeepBeliefNetwork(SHAPE, 10, [partial(BinaryRBM, units=64)] * 2, gibbs_steps=200)
    before = distance(model.sample(300))
    pretraining = GreedyPretraining(8, learning_rate=0.1, optimizer=partial(SGD, momentum=0.9))
    trainer = make_trainer(max_epochs=16, callbacks=[pretraining], limit_val_batches=0)
    trainer.fit(model, Digits(batch_size=32))
    samples = model.sample(300)
    blurred = distance(images.mean(0).expand(300, -1, -1, -1))  # the best that knows nothing but the mean
    assert distance(samples) < 0.4 * blurred < 0.4 * before
    alike = torch.stack([covariance(images), covariance(samples)]).corrcoef()[0, 1]
    assert alike > 0.7  # which pixels go together


def test_the_likelihood_is_that_of_the_enumerated_machine(make_trainer: Callable[..., Any]) -> None:
    layers = [partial(BinaryRBM, units=10), partial(BinaryRBM, units=5)]
    model = scatter(DeepBeliefNetwork(SHAPE, 10, layers, ais_temperatures=300), std=0.3)
    data = Digits()
    image = torch.cat([data.on_after_batch_transfer(batch, 0).image for batch in data.test_dataloader()])
    rbm: Any = model.layers[0]
    v = image.flatten(1)
    with torch.no_grad():
        log_mass = v @ rbm.visible_bias + (1 + (v @ rbm.encoder.weight.T + rbm.encoder.bias).exp()).log().sum(1)
        expected = (log_mass.double() - exact_log_partition(rbm)).mean().item()
    scores = [
        make_trainer().test(model, Digits(eval_batch_size=size), verbose=False)[0]
        for size in (1000, 50)  # of 359
    ]
    assert scores[0].keys() == {"test/total", "test/accuracy", "test/layer1/free_energy", *ESTIMATED}
    assert scores[0]["test/layer1/log_likelihood"] == pytest.approx(expected, abs=0.1)
    assert scores[0]["test/layer1/log_z"] == pytest.approx(exact_log_partition(rbm).item(), abs=0.1)
    assert 0 < scores[0]["test/layer1/log_z_error"] < 0.05
    assert scores[1] == {name: pytest.approx(value, rel=1e-5) for name, value in scores[0].items()}


def test_the_estimate_begins_at_the_mean_training_image(
    make_trainer: Callable[..., Any], batch: ImageBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []

    def noted(rbm: Any, chains: int, temperatures: int, data_mean: Tensor | None) -> Any:
        seen.append((rbm, chains, temperatures, data_mean))
        return estimate(rbm, chains, temperatures, data_mean=data_mean)

    estimate = lit_models.dbn.annealed_importance
    monkeypatch.setattr(lit_models.dbn, "annealed_importance", noted)
    model = DeepBeliefNetwork(SHAPE, 10, SMALL, ais_chains=7, ais_temperatures=11)
    make_trainer().test(model, DataLoader([batch], batch_size=None), verbose=False)  # no data module to ask
    make_trainer().test(model, Digits(), verbose=False)
    assert [call[:3] for call in seen] == [(model.layers[0], 7, 11)] * 2
    assert seen[0][3] is None
    torch.testing.assert_close(seen[1][3], training_images().mean(0).flatten())


def test_without_chains_there_is_no_estimate(make_trainer: Callable[..., Any]) -> None:
    model = DeepBeliefNetwork(SHAPE, 10, SMALL, ais_chains=0)
    scores = make_trainer().test(model, Digits(), verbose=False)[0]
    assert scores.keys() == {"test/total", "test/accuracy", "test/layer1/free_energy"}
