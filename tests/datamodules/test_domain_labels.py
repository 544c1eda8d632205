"""No way leads to a label of the target before `test`."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from seen_batches import Recorder
from small_pair import moons, trainer
from torch import Tensor

from datamodules import (
    MNIST,
    BlendedDigits,
    Digits,
    DomainBatch,
    DomainPair,
    ImageBatch,
    ImageFolder,
    OracleBatch,
    OracleDomainPair,
    PointBatch,
    UnlabelledImageBatch,
    UnlabelledPointBatch,
)
from datamodules.datasets import LabelledImages


class Mislabelled(BlendedDigits):
    """Every label is -7, which no class has."""

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        image, label = super().read(train)
        return image, torch.full_like(label, -7)


def test_labels_of_the_target_change_nothing_before_test() -> None:
    def everything(target: BlendedDigits, kind: type[DomainPair] = DomainPair) -> tuple[Any, ...]:
        pair, model = kind(source=Digits(), target=target, batch_size=300), Recorder()
        trainer().fit(model, pair)
        trainer().validate(model, pair, verbose=False)
        predicted = trainer().predict(model, pair)
        evaluated = [batch for _, batch in model.evaluated]
        halves = [half for batch in model.seen for half in batch]
        assert predicted
        return pair.fingerprint(), [
            (type(batch), [value.tolist() for value in batch]) for batch in [*halves, *evaluated, *predicted]
        ]

    assert everything(BlendedDigits()) == everything(Mislabelled())
    assert everything(BlendedDigits())[0] != everything(BlendedDigits(blend_seed=1))[0]


@pytest.fixture
def _only_new_objects() -> Iterator[None]:
    """Those of before, a million in a process of tests, are neither searched for garbage nor listed."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_only_new_objects")
def test_labels_of_the_target_are_nowhere_before_test() -> None:
    pair = DomainPair(source=Digits(), target=Mislabelled())
    for stage in ("fit", "validate", "predict"):
        pair.setup(stage)
        gc.collect()
        labelled = [thing for thing in gc.get_objects() if type(thing) is LabelledImages]
        assert labelled
        assert not any((dataset.label == -7).any() for dataset in labelled)


def test_batches_of_the_target_have_no_label_field() -> None:
    model, pair = Recorder(), moons()
    trainer().fit(model, pair)
    assert {tuple(map(type, batch)) for batch in model.seen} == {(PointBatch, UnlabelledPointBatch)}
    assert [(place, type(batch)) for place, batch in model.evaluated] == [(0, PointBatch), (1, UnlabelledPointBatch)]
    assert "label" not in UnlabelledPointBatch._fields + UnlabelledImageBatch._fields
    predicted: Any = trainer().predict(model, pair)
    assert [type(batch) for batch in predicted] == [UnlabelledPointBatch]
    assert predicted[0].index.tolist() == list(range(50))


class AskForLabels(Callback):
    def __init__(self, pair: DomainPair) -> None:
        self.pair = pair
        self.label: Tensor | None = None

    def on_validation_end(self, *details: Any) -> None:
        with pytest.raises(ValueError, match=r"^the target's labels would show .*only test reads"):
            self.pair.oracle_labels()
        with pytest.raises(ValueError, match=r"^the target's test part would show .*only test reads"):
            self.pair.test_dataloader()

    def on_test_end(self, *details: Any) -> None:
        self.label = self.pair.oracle_labels()


def test_labels_of_the_target_are_read_in_test_only() -> None:
    model, pair = Recorder(), DomainPair(source=Digits(), target=BlendedDigits(), batch_size=500)
    ask = AskForLabels(pair)
    with pytest.raises(ValueError, match="only test reads"):
        pair.oracle_labels()
    trainer(ask).fit(model, pair)
    model.evaluated.clear()
    trainer(ask).test(model, pair, verbose=False)
    assert [(place, type(batch)) for place, batch in model.evaluated] == [(0, ImageBatch), (1, ImageBatch)]
    published = Digits().read(train=False)[1]
    assert all(batch.label.equal(published) for _, batch in model.evaluated)

    alone = BlendedDigits()
    alone.stratified = False
    validation = alone.dataset("val")
    assert isinstance(validation, LabelledImages)
    assert ask.label is not None
    assert ask.label.dtype == torch.int64
    assert ask.label.equal(validation.label)
    shown = pair.dataset("val").target.__getitems__(range(len(validation))).image
    assert shown.equal(validation.__getitems__(range(len(validation))).image)
    model.evaluated.clear()
    trainer(ask).validate(model, pair, verbose=False)  # after the test it is blind again
    assert [type(batch) for _, batch in model.evaluated] == [ImageBatch, UnlabelledImageBatch]


def test_preparation_leaves_no_labels(mnist_root: Path) -> None:
    one, other = (MNIST(root=str(mnist_root), download=False) for _ in range(2))
    pair = DomainPair(source=one, target=other)
    pair.prepare_data()
    assert other.take_parts() == {}
    pair.setup("fit")
    assert isinstance(next(iter(pair.train_dataloader())), DomainBatch)


def test_the_oracle_sees_the_targets_of_the_pair_with_their_labels() -> None:
    pairs = [kind(source=Digits(), target=BlendedDigits(), batch_size=200) for kind in (DomainPair, OracleDomainPair)]
    for pair in pairs:
        pair.setup("fit")
    train = BlendedDigits()
    train.stratified = False
    dataset = train.dataset("train")
    assert isinstance(dataset, LabelledImages)
    for batch, oracle in zip(*(pair.train_dataloader() for pair in pairs), strict=True):
        assert isinstance(oracle, OracleBatch)
        assert isinstance(oracle.target, ImageBatch)
        assert oracle.target.image.equal(batch.target.image)
        assert oracle.target.label.equal(dataset.label[batch.target.index])
    assert pairs[0].fingerprint() == pairs[1].fingerprint()
    assert [type(next(iter(loader))) for loader in pairs[1].val_dataloader()] == [ImageBatch, UnlabelledImageBatch]
    with pytest.raises(ValueError, match=r"^balanced=True is of no use"):
        OracleDomainPair(source=Digits(), target=Digits(), balanced=True)


def test_a_folder_as_target_is_divided_blindly(picture_root: Path) -> None:
    def classes_of_test(seed: int, stratified: bool) -> list[int]:
        data = ImageFolder(root=str(picture_root), image_size=8, split_seed=seed)
        data.stratified = stratified
        dataset = data.dataset("test")
        assert isinstance(dataset, LabelledImages)
        return dataset.label.bincount(minlength=2).tolist()

    assert all(classes_of_test(seed, True) == [4, 4] for seed in range(6))
    assert any(classes_of_test(seed, False) != [4, 4] for seed in range(6))
