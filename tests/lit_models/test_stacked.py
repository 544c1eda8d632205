"""The stack: what each phase trains, shows and logs, and what it may begin with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from callbacks import GreedyPretraining
from datamodules import Digits, ImageBatch
from datamodules.batch import UnlabelledImageBatch
from lit_models import StackedClassifier
from networks import AutoencoderLayer, BinaryRBM, DenoisingLayer, GaussianRBM, KeyedNoise, LayerStep

SHAPE = (1, 8, 8)
DEEP = [partial(AutoencoderLayer, units=units) for units in (20, 15, 12)]
MIXED = [partial(BinaryRBM, units=24), partial(DenoisingLayer, units=16)]
PHASES = ("layer1", "layer2", "readout", "fine_tuning", None)


def scatter(model: StackedClassifier, seed: int = 1) -> StackedClassifier:
    """Move every weight, so that the classifier's are no longer those of the layers."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def codes(layers: Any, x: Tensor) -> Tensor:
    for layer in layers:
        x = (x @ layer.encoder.weight.T + layer.encoder.bias).sigmoid()
    return x


def held_out() -> tuple[Tensor, Tensor]:
    data = Digits()
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    return torch.cat([batch.image for batch in batches]), torch.cat([batch.index for batch in batches])


class Unlabelled(Digits):
    """Digits whose labels nobody sees."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        image, _, index = super().on_after_batch_transfer(batch, dataloader_idx)
        return UnlabelledImageBatch(image, index)


def test_a_stack_needs_a_layer() -> None:
    with pytest.raises(ValueError, match=r"^layers is \[\]: a stack needs at least one$"):
        StackedClassifier(SHAPE, 10, [])


@pytest.mark.parametrize("above", [partial(AutoencoderLayer, units=6), partial(BinaryRBM, units=6)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_layer_of_the_unit_interval_does_not_stand_on_other_codes(activation: Any, above: Any) -> None:
    below = partial(AutoencoderLayer, units=8, activation=activation)
    with pytest.raises(ValueError, match=r"^layers: layer 2 takes inputs in \[0, 1\], and the codes of layer 1") as e:
        StackedClassifier(SHAPE, 10, [below, above])
    assert "\n" not in str(e.value)
    for mend in (
        [below, partial(AutoencoderLayer, units=6, reconstruction="mse")],
        [below, partial(GaussianRBM, units=6)],
        [partial(AutoencoderLayer, units=8), above],
    ):
        widths = [layer.encoder.weight.shape for layer in StackedClassifier(SHAPE, 10, mend).layers]
        assert widths == [(8, 64), (6, 8)]


@pytest.mark.parametrize("phase", PHASES)
def test_all_but_what_a_phase_trains_is_frozen(phase: str | None) -> None:
    model = StackedClassifier(SHAPE, 10, MIXED)
    model.requires_grad_(True)
    trained = {id(parameter) for parameter in model.enter(phase)}
    parts: dict[Any, nn.Module] = {
        "layer1": model.layers[0],
        "layer2": model.layers[1],
        "readout": model.network.head,
    }
    part = parts.get(phase, model.network)
    assert trained == {id(parameter) for parameter in part.parameters()}
    assert trained == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    if phase is None:
        assert all(module.training for module in model.modules())
    else:
        assert {module for module in model.modules() if module.training} == {model, *part.modules()}
    assert model.phase == phase
    assert model.pretrains == (phase in ("layer1", "layer2", "readout"))


@pytest.mark.parametrize("phase", PHASES)
def test_each_phase_shows_what_it_trains(phase: str | None, batch: ImageBatch) -> None:
    model = scatter(StackedClassifier(SHAPE, 10, DEEP[:2]))
    model.enter(phase)
    image = batch.image
    height = 1 if phase == "layer1" else 2
    code = codes(model.layers[:height], image.flatten(1))
    picture = code
    for layer in reversed(model.layers[:height]):
        picture = (picture @ layer.encoder.weight + layer.bias).sigmoid()
    torch.testing.assert_close(model.reconstruct(image), picture.view(-1, *SHAPE))
    hidden = [part[0] for part in model.network.hidden]
    if phase in ("layer1", "layer2"):
        torch.testing.assert_close(model.embed(image), code)
        weight = model.layers[0].encoder.weight
    else:
        features = image.flatten(1)
        for linear in hidden:
            features = linear(features).sigmoid()
        torch.testing.assert_close(model.embed(image), features)
        weight = hidden[0].weight
    assert torch.equal(model.filters(), weight.reshape(20, *SHAPE))
    assert not model.filters().requires_grad


def test_a_phase_is_trained_on_the_codes_of_what_lies_below(batch: ImageBatch) -> None:
    model = scatter(StackedClassifier(SHAPE, 10, DEEP))
    flat = batch.image.flatten(1)
    for height, phase in enumerate(("layer1", "layer2", "layer3")):
        model.enter(phase)
        torch.testing.assert_close(model.phase_input(batch.image), codes(model.layers[:height], flat))
    model.enter("readout")
    torch.testing.assert_close(model.network.head(model.phase_input(batch.image)), model(batch.image))


def test_linear_layers_have_names() -> None:
    model = StackedClassifier(SHAPE, 10, MIXED)
    named = model.hidden_layers
    assert {name: tuple(module.weight.shape) for name, module in named.items()} == {
        "layer1": (24, 64),
        "layer2": (16, 24),
        "head": (10, 16),
    }
    assert all(any(module is own for own in model.network.modules()) for module in named.values())


def test_validation_terms_are_means_over_all_images(make_trainer: Callable[..., Any]) -> None:
    model = scatter(StackedClassifier(SHAPE, 10, DEEP[:2]))
    model.enter("layer1")
    x = held_out()[0].flatten(1)
    layer = model.layers[0]
    with torch.no_grad():
        p = (codes([layer], x) @ layer.encoder.weight + layer.bias).sigmoid()
        expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum(1).mean()
    for size in (1000, 100, 37):  # of 144
        logged = make_trainer().validate(model, Digits(eval_batch_size=size), verbose=False)[0]
        assert logged == {"pretrain/layer1/val_reconstruction": pytest.approx(expected.item(), rel=1e-5)}


def test_validation_noise_is_that_of_the_image(make_trainer: Callable[..., Any]) -> None:
    model = scatter(StackedClassifier(SHAPE, 10, MIXED))
    model.enter("layer2")
    image, index = held_out()
    with torch.no_grad():
        step = LayerStep(KeyedNoise(index), 0, False, lambda mean: mean)
        expected = model.layers[1].loss(codes(model.layers[:1], image.flatten(1)), step)["loss"]
    for size in (1000, 37):
        logged = make_trainer().validate(model, Digits(eval_batch_size=size), verbose=False)[0]
        assert logged == {"pretrain/layer2/val_reconstruction": pytest.approx(expected.item(), rel=1e-5)}


def free_energy(rbm: Any, v: Tensor) -> float:
    softplus = (1 + (v @ rbm.encoder.weight.T + rbm.encoder.bias).exp()).log()
    return (-(v @ rbm.visible_bias) - softplus.sum(1)).mean().item()


def test_the_free_energy_gap_is_that_of_validation_and_training_images(make_trainer: Callable[..., Any]) -> None:
    layers = [partial(BinaryRBM, units=24), partial(BinaryRBM, units=16)]
    model, data = StackedClassifier(SHAPE, 10, layers), Digits(batch_size=64, eval_batch_size=100)
    trainer = make_trainer(max_epochs=4, callbacks=[GreedyPretraining(2, learning_rate=0.2)])
    trainer.fit(model, data)
    known, new = next(data.training_images())[:1000].flatten(1), held_out()[0].flatten(1)
    with torch.no_grad():
        for place, rbm in enumerate(model.layers, 1):
            expected = free_energy(rbm, new) - free_energy(rbm, known)
            assert abs(expected) > 0.01  # fifty times the tolerance
            gap = trainer.callback_metrics[f"pretrain/layer{place}/free_energy_gap"].item()
            assert gap == pytest.approx(expected, abs=2e-4)
            known, new = codes([rbm], known), codes([rbm], new)


def test_images_without_labels_are_enough_for_the_layers(make_trainer: Callable[..., Any]) -> None:
    ends = []
    for data in (Digits(batch_size=256), Unlabelled(batch_size=256)):
        torch.manual_seed(0)
        model = StackedClassifier(SHAPE, 10, MIXED)
        make_trainer(max_epochs=2, callbacks=[GreedyPretraining(1)]).fit(model, data)
        ends.append(nn.utils.parameters_to_vector(model.layers.parameters()))
    assert torch.equal(*ends)


@pytest.mark.parametrize("readout", [0, 1], ids=["fine-tuning", "readout"])
def test_images_without_labels_end_the_run_where_labels_are_needed(
    readout: int, make_trainer: Callable[..., Any]
) -> None:
    model = StackedClassifier(SHAPE, 10, MIXED)
    trainer = make_trainer(max_epochs=4, callbacks=[GreedyPretraining(1, readout_epochs=readout)])
    with pytest.raises(ValueError, match=r"^a classifier needs labels, and a UnlabelledImageBatch has none") as error:
        trainer.fit(model, Unlabelled(batch_size=256))
    assert "\n" not in str(error.value)
    assert trainer.current_epoch == 2


def test_layers_given_in_python_have_to_be_given_again(
    make_trainer: Callable[..., Any], batch: ImageBatch, tmp_path: Path
) -> None:
    trainer = make_trainer(max_epochs=3, callbacks=[GreedyPretraining(1)])
    model = StackedClassifier(SHAPE, 10, MIXED, dropout=0.1)
    trainer.fit(model, Digits(batch_size=256))
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    saved = torch.load(path, weights_only=True)["hyper_parameters"]
    assert {"image_shape": SHAPE, "num_classes": 10, "dropout": 0.1}.items() <= saved.items()
    assert not {"network", "layers"} & saved.keys()
    with pytest.raises(ValueError, match=r"pass layers=\.\.\. again$"):
        StackedClassifier.load_from_checkpoint(path, weights_only=True)
    loaded = StackedClassifier.load_from_checkpoint(path, weights_only=True, layers=MIXED).eval()
    model.eval()
    assert torch.equal(loaded(batch.image), model(batch.image))
    assert torch.equal(loaded.reconstruct(batch.image), model.reconstruct(batch.image))


def test_layers_of_different_kinds_learn_one_on_the_other(make_trainer: Callable[..., Any]) -> None:
    def error(p: Tensor, x: Tensor) -> float:
        return nn.functional.binary_cross_entropy(p, x, reduction="none").sum(1).mean().item()

    torch.manual_seed(0)
    model = StackedClassifier(SHAPE, 10, MIXED)
    pretraining = GreedyPretraining(10, learning_rate=[0.05, 0.02])
    trainer = make_trainer(max_epochs=20, callbacks=[pretraining], limit_val_batches=0)
    trainer.fit(model, Digits(batch_size=64))
    x = held_out()[0].flatten(1)
    with torch.no_grad():
        for layer in model.layers:
            mean, least = error(x.mean(0).expand_as(x), x), error(x, x)
            assert error(layer.decode(layer.encode(x)), x) - least < 0.65 * (mean - least)
            x = layer.encode(x)
