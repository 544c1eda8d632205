"""The training of a new classification layer and of the blocks below it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_transfer import GREY, transfer
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from datamodules import Digits, ImageBatch
from lit_models import TransferClassifier, WarmupCosine
from networks import FeatureCache, ImageShape, Mixed, Mixing


def test_parameters_are_grouped_by_block_each_once() -> None:
    model = transfer(backbone_rate=0.5, layer_decay=0.1, optimizer=partial(AdamW, lr=0.2))
    groups = model.configure_optimizers().param_groups
    assert [group["name"] for group in groups] == ["body.0", "body.4", "body.9", "head"]
    assert [group["lr"] for group in groups] == pytest.approx([0.2 * 0.5 * 0.01, 0.2 * 0.5 * 0.1, 0.2 * 0.5, 0.2])
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters()}


def test_equal_parameters_are_in_one_group_each() -> None:
    def equal(shape: ImageShape, classes: int) -> nn.Module:
        layers = nn.Linear(64, 64), nn.Linear(64, 64)
        layers[1].load_state_dict(layers[0].state_dict())
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, classes))

    model = transfer(backbone=equal, layer_decay=0.5, optimizer=partial(SGD, lr=1.0))
    groups = model.configure_optimizers().param_groups
    assert [[id(parameter) for parameter in group["params"]] for group in groups] == [
        [id(parameter) for parameter in layer.parameters()]
        for layer in (*model.backbone.network[1:3], model.head)  # type: ignore[index]
    ]


def test_the_schedule_keeps_the_proportions_of_the_rates() -> None:
    model = transfer(layer_decay=0.5, optimizer=partial(SGD, lr=1.0), scheduler=partial(WarmupCosine, warmup=0.5))
    optimizer = model.make_optimizer()
    schedule = WarmupCosine(optimizer, warmup=0.5)
    schedule.start(10)
    for _ in range(7):
        optimizer.step()
        schedule.step()
        rates = [group["lr"] for group in optimizer.param_groups]
        assert [rate / rates[-1] for rate in rates] == pytest.approx([0.25, 0.5, 1, 1])


@pytest.mark.parametrize(
    "scheduler",
    [partial(OneCycleLR, max_lr=0.1, total_steps=10), partial(CyclicLR, base_lr=0.1, max_lr=0.2, cycle_momentum=False)],
)
def test_a_schedule_that_would_ignore_the_rates_is_refused(scheduler: Any) -> None:
    optimizer = partial(SGD, lr=0.1)
    with pytest.raises(ValueError, match=r"^scheduler is \w+: it sets rates of its own, and backbone_rate"):
        transfer(layer_decay=0.5, optimizer=optimizer, scheduler=scheduler).configure_optimizers()
    transfer(optimizer=optimizer, scheduler=scheduler).configure_optimizers()


@pytest.mark.parametrize("n", range(4))
def test_only_the_highest_blocks_and_the_new_layer_change(n: int, batch: ImageBatch) -> None:
    model = transfer(optimizer=partial(AdamW, lr=0.01, weight_decay=0.1))
    model.train_blocks(n)
    assert model.trained_blocks == n
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = model.configure_optimizers()
    for _ in range(2):
        optimizer.zero_grad()
        model.loss(batch).total.backward()
        optimizer.step()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for place, block in enumerate(model.blocks):
        for parameter in block.parameters:
            assert torch.equal(parameter, before[names[id(parameter)]]) == (place < 3 - n)
            assert (parameter in optimizer.state) == (place >= 3 - n)
    statistics = [name for name in before if "running" in name]
    moved = [not torch.equal(before[name], model.state_dict()[name]) for name in statistics]
    assert moved == [n >= 3] * 2 + [n >= 2] * 2
    assert not torch.equal(model.head.weight, before["network.head.weight"])


def test_features_that_are_kept_take_the_place_of_the_images(batch: ImageBatch) -> None:
    model = transfer()
    model.train_blocks(0)
    expected = model.loss(batch)
    order = torch.randperm(200)
    kept = torch.empty(200, 5)
    kept[order] = model.embed(batch.image).detach()
    blank = ImageBatch(torch.zeros_like(batch.image), batch.label, order)
    model.cached = FeatureCache(kept, None)
    assert torch.equal(model.loss(blank).total, expected.total)
    assert torch.equal(model.eval().loss(batch).total, expected.total)  # no validation part is kept
    model.cached = FeatureCache(None, kept)
    assert torch.equal(model.loss(blank).total, expected.total)
    assert torch.equal(model.train().loss(batch).total, expected.total)
    model.on_fit_end()
    assert model.cached is None


class HalfAndHalf(Mixing):
    """Mixes each image with the next one, a quarter of it."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def forward(self, image: Tensor) -> Mixed:
        partner = torch.arange(len(image)).roll(-1)
        return Mixed(0.75 * image + 0.25 * image[partner], partner, torch.full((len(image),), 0.75))


def test_mixed_images_have_mixed_targets_in_training_only(batch: ImageBatch) -> None:
    model, plain = transfer(mixing=HalfAndHalf(), label_smoothing=0.1), transfer(label_smoothing=0.1)
    assert (model.mixes, plain.mixes) == (True, False)
    nexts = batch.label.roll(-1)
    logits = plain(0.75 * batch.image + 0.25 * batch.image.roll(-1, 0))
    cross = partial(F.cross_entropy, logits, label_smoothing=0.1)
    terms = transfer(mixing=HalfAndHalf(), label_smoothing=0.1).loss(batch)
    torch.testing.assert_close(terms.total, 0.75 * cross(batch.label) + 0.25 * cross(nexts))
    assert terms.accuracy.item() == pytest.approx((logits.argmax(1) == batch.label).float().mean().item())
    model.load_state_dict(plain.state_dict())  # with statistics of batches
    torch.testing.assert_close(model.eval().loss(batch), plain.eval().loss(batch))


def test_predictions_are_those_of_the_whole(batch: ImageBatch) -> None:
    model = transfer(dropout=0.5).eval()
    prediction = model.predict_step(batch, 0)
    assert torch.equal(prediction["latent"], model.embed(batch.image))
    assert torch.equal(prediction["predicted"], model(batch.image).argmax(1))


def test_maps_and_the_classes_that_come_from_them(batch: ImageBatch) -> None:
    model = transfer().eval()
    found = model.feature_maps(batch.image)
    assert found is not None
    maps, logits = found
    assert maps.shape[:2] == (200, 6)
    assert torch.equal(logits, model(batch.image))
    flat = transfer(
        backbone=lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, classes))
    )
    assert flat.feature_maps(batch.image) is None


def test_ten_labels_a_class_are_enough_for_the_shipped_classifier(make_trainer: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"margin": 4, "optimizer": partial(AdamW, lr=2e-3), "backbone_rate": 0.5}
    model, data = TransferClassifier(GREY, 10, **settings), Digits(batch_size=20, train_per_class=10)
    trainer = make_trainer(max_epochs=10, limit_val_batches=0)
    trainer.fit(model, data)
    assert trainer.test(model, data, verbose=False)[0]["test/accuracy"] > 0.93
