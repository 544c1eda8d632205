import gc
import re
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback, Trainer
from PIL import Image
from seen_batches import Recorder, SaveMidway
from torch import Tensor
from torchvision.transforms.v2 import RandomCrop

import cli
from datamodules import (
    CIFAR10,
    MNIST,
    USPS,
    BlendedDigits,
    Digits,
    DomainBatch,
    DomainPair,
    FashionMNIST,
    GaussianRing,
    ImageBatch,
    ImageFolder,
    OracleBatch,
    OracleDomainPair,
    PairSampler,
    PointBatch,
    TwoMoons,
    UnlabelledImageBatch,
    UnlabelledPointBatch,
)
from datamodules.datasets import LabelledImages

SIZES = st.integers(1, 60)
SEEDS = st.integers(0, 2**31)
QUIET: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


class Mislabelled(BlendedDigits):
    """Every label is -7, which no class has."""

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        image, label = super().read(train)
        return image, torch.full_like(label, -7)


def trainer(*callbacks: Callback, max_epochs: int = 1) -> Trainer:
    return Trainer(accelerator="cpu", max_epochs=max_epochs, num_sanity_val_steps=0, callbacks=list(callbacks), **QUIET)


def moons(source: int = 100, target: int = 230, **arguments: Any) -> DomainPair:
    one = TwoMoons(train_size=source, val_size=30, test_size=20)
    other = TwoMoons(rotation=35, train_size=target, val_size=50, test_size=40)
    return DomainPair(source=one, target=other, **{"batch_size": 40, "seed": 3} | arguments)


def run(pair: DomainPair, folder: Path, checkpoint: Path | None = None) -> list[Any]:
    model = Recorder()
    trainer(SaveMidway(folder, after=8), max_epochs=3).fit(model, pair, ckpt_path=checkpoint)
    return model.seen


def plain(batches: list[Any]) -> list[Any]:
    return [
        [[tuple(value.tolist() for value in half) for half in batch] for batch in batches]  # every field of both halves
    ]


@pytest.mark.parametrize(("source", "target"), [(100, 230), (230, 100)])
def test_an_epoch_is_the_longer_domain_and_a_run_is_resumed_exactly(tmp_path: Path, source: int, target: int) -> None:
    whole = run(moons(source, target), tmp_path)
    assert len(whole) == 3 * 6
    for epoch in range(3):
        batches = whole[6 * epoch : 6 * epoch + 6]
        assert all(len(batch.source.x) == len(batch.target.x) for batch in batches)
        for domain, size in (("source", source), ("target", target)):
            seen = Counter(chain.from_iterable(getattr(batch, domain).index.tolist() for batch in batches))
            assert sum(seen.values()) == 230
            assert set(seen) == set(range(size))
            assert set(seen.values()) == ({1} if size == 230 else {2, 3})
    orders = {tuple(getattr(batch, domain).index.tolist()) for batch in whole for domain in batch._fields}
    assert len(orders) == 2 * len(whole)
    again = run(moons(source, target), tmp_path, tmp_path / "midway.ckpt")
    assert plain(again) == plain(whole[8:])


def test_drop_last_leaves_whole_batches() -> None:
    pair = moons(drop_last=True)
    pair.setup("fit")
    assert [len(batch.source.x) for batch in pair.train_dataloader()] == 5 * [40]
    with pytest.raises(ValueError, match="batch_size=231 with drop_last leaves no batch"):
        moons(drop_last=True, batch_size=231).train_dataloader()


def pairs(source: int, target: int, world: int, **arguments: Any) -> list[list[int]]:
    return [list(PairSampler(source, target, num_replicas=world, rank=rank, **arguments)) for rank in range(world)]


@given(SIZES, SIZES, SEEDS, st.booleans())
def test_processes_share_the_pairs_of_one(source: int, target: int, seed: int, balanced: bool) -> None:
    source *= 2
    target *= 2  # no padding
    label = torch.arange(source) % 3 if balanced else None
    (alone,) = pairs(source, target, 1, seed=seed, epoch=4, label=label)
    parts = pairs(source, target, 2, seed=seed, epoch=4, label=label)
    assert [code for step in zip(*parts, strict=True) for code in step] == alone
    rest = pairs(source, target, 2, seed=seed, epoch=4, label=label, start=1)
    assert rest == [part[1:] for part in parts]


def test_loaders_of_two_processes_share_the_batches_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def batches(rank: int, world: int) -> list[Any]:
        pair = moons(batch_size=40 // world)
        monkeypatch.setattr(pair, "_process", lambda: (rank, world))
        return list(pair.train_dataloader())

    for one, first, second in zip(batches(0, 1), batches(0, 2), batches(1, 2), strict=True):
        for whole, left, right in zip(one, first, second, strict=True):
            for value, even, odd in zip(whole, left, right, strict=True):
                assert value[::2].equal(even)
                assert value[1::2].equal(odd)


def test_balanced_source_has_every_class_equally_often() -> None:
    label = torch.tensor(50 * [0] + 5 * [1] + 3 * [2])
    order = torch.tensor(list(PairSampler(58, 100, label=label)))
    source, target = order // 100, order % 100
    assert sorted(label[source].bincount().tolist()) == [33, 33, 34]
    assert sorted(target.tolist()) == list(range(100))
    # the rare repeat evenly, and no example comes again before the others of its class
    assert set(Counter(source[label[source] == 1].tolist()).values()) <= {6, 7}
    assert set(Counter(source[label[source] == 0].tolist()).values()) == {1}
    pair = DomainPair(source=Digits(), target=BlendedDigits(), balanced=True, batch_size=100)
    batch = next(iter(pair.train_dataloader()))
    assert batch.source.label.bincount().tolist() == 10 * [10]
    assert batch.source.label.tolist() != sorted(batch.source.label.tolist())


def test_the_orders_of_the_domains_are_unrelated() -> None:
    order = torch.tensor(list(PairSampler(50, 50)))
    assert (order // 50 == order % 50).sum() < 10


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


@pytest.mark.parametrize("swapped", [False, True])
def test_grey_beside_colour_gets_three_equal_channels(swapped: bool) -> None:
    grey, colour = Digits(), BlendedDigits()
    source, target = (colour, grey) if swapped else (grey, colour)
    pair, model = DomainPair(source=source, target=target, batch_size=500), Recorder()
    assert pair.data_shape == pair.image_shape == (3, 8, 8)
    assert (pair.num_classes, pair.class_names) == (10, tuple("0123456789"))
    trainer().fit(model, pair)
    for half in [*chain.from_iterable(model.seen), *(batch for _, batch in model.evaluated)]:
        assert half.image.dtype == torch.float32
        assert half.image.shape[1:] == (3, 8, 8)
        assert half.image.max() == 1
        is_grey = bool((half.image[:, :1] == half.image).all())
        assert is_grey == ((isinstance(half, ImageBatch)) != swapped)


def test_augmentation_is_each_domains_own_and_in_training_only() -> None:
    augmentation: Any = [RandomCrop(8, padding=2)]

    def batches(seed: int = 0, **of_target: Any) -> tuple[Any, Any, Any]:
        pair = DomainPair(
            source=Digits(augmentation=augmentation), target=Digits(**of_target), batch_size=2000, seed=seed
        )
        model = Recorder()
        trainer().fit(model, pair)
        (batch,) = model.seen
        place = [half.index.argsort() for half in batch]
        return batch.source.image[place[0]], batch.target.image[place[1]], [b.image for _, b in model.evaluated]

    original = Digits().dataset("train").__getitems__(range(1294)).image / 255
    source, target, validation = batches()
    changed, _, _ = batches(seed=1)
    moved, both, unchanged = batches(augmentation=augmentation)
    assert source.equal(moved)  # whatever is done to the target
    assert not source.equal(original)
    assert not source.equal(changed)
    assert not both.equal(target)
    assert all(one.equal(other) for one, other in zip(validation, unchanged, strict=True))


def test_a_target_without_labels_is_trained_on_but_not_tested(picture_root: Path, tmp_path: Path) -> None:
    for number in range(15):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    source, target = (ImageFolder(root=str(root), image_size=8) for root in (picture_root, tmp_path))
    pair, model = DomainPair(source=source, target=target), Recorder()
    trainer().fit(model, pair)
    assert [type(half) for half in model.seen[0]] == [ImageBatch, UnlabelledImageBatch]
    with pytest.raises(ValueError, match=r"^the target has no labels to test on"):
        trainer().test(model, pair, verbose=False)
    with pytest.raises(ValueError, match=r"^the target has no labels to train on"):
        OracleDomainPair(source=source, target=target)
    with pytest.raises(ValueError, match=r"^source=ImageFolder has no labels"):
        DomainPair(source=target, target=source)


def test_a_folder_as_target_is_divided_blindly(picture_root: Path) -> None:
    def classes_of_test(seed: int, stratified: bool) -> list[int]:
        data = ImageFolder(root=str(picture_root), image_size=8, split_seed=seed)
        data.stratified = stratified
        dataset = data.dataset("test")
        assert isinstance(dataset, LabelledImages)
        return dataset.label.bincount(minlength=2).tolist()

    assert all(classes_of_test(seed, True) == [4, 4] for seed in range(6))
    assert any(classes_of_test(seed, False) != [4, 4] for seed in range(6))


class Tilted(TwoMoons):
    class_names = ("lower", "right")


class Deep(TwoMoons):
    data_shape = (3,)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (Digits, TwoMoons, "source=Digits and target=TwoMoons are images and points: "),
        (TwoMoons, GaussianRing, "the source has 2 classes and the target 8: "),
        (TwoMoons, Tilted, "class 'upper' of the source is 'right' in the target: "),
        (MNIST, FashionMNIST, "class '0' of the source is 'T-shirt/top' in the target: "),
        (MNIST, USPS, "images of 28x28 in the source and 16x16 in the target: set image_size "),
        (TwoMoons, Deep, "points of 2 and of 3 dimensions: "),
        (lambda: TwoMoons(batch_size=5), TwoMoons, "source.batch_size=5 would be ignored: set the pair's batch_size"),
        (CIFAR10, lambda: CIFAR10(seed=1), "target.seed=1 would be ignored: set the pair's seed"),
        (Digits, lambda: Digits(predict_part="test"), "target.predict_part='test' would be ignored: "),
        (Digits, lambda: Digits(train_per_class=5), "target.train_per_class=5 reads labels of the target: "),
        (Digits, lambda: Digits(generated="x.npz"), "target.generated='x.npz' adds images "),
        (moons, TwoMoons, "source is a DomainPair: choose data of one domain"),
    ],
)
def test_what_does_not_fit_is_named_at_once(source: Callable[[], Any], target: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}.*$"):
        DomainPair(source=source(), target=target())


def test_sizes_that_image_size_makes_equal_fit() -> None:
    assert DomainPair(source=MNIST(), target=USPS(image_size=28)).image_shape == (1, 28, 28)


@pytest.mark.parametrize("empty", ["source", "target"])
def test_both_domains_need_a_validation_part(empty: str) -> None:
    domains = {name: TwoMoons(val_size=0 if name == empty else 10) for name in ("source", "target")}
    with pytest.raises(ValueError, match=f"^{empty}.val_size=0 leaves it no validation part: "):
        DomainPair(**domains).setup("fit")  # type: ignore[arg-type]


def test_a_class_without_source_examples_cannot_be_balanced() -> None:
    source = GaussianRing(train_size=3, n_modes=4)
    pair = DomainPair(source=source, target=GaussianRing(n_modes=4), balanced=True)
    with pytest.raises(ValueError, match=r"^balanced=True needs training examples of every class, the source has none"):
        pair.setup("fit")


def test_the_command_line_reads_the_domains(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data=DomainPair", "--data.source=TwoMoons", "--data.source.init_args.noise=0.2"]
    words += ["--data.init_args.target.class_path=TwoMoons", "--data.init_args.target.init_args.rotation=35"]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["fit", "--print_config", "--model=Classifier", *words])
    data = yaml.safe_load(capsys.readouterr().out)["data"]
    assert data["class_path"] == "datamodules.DomainPair"
    assert data["init_args"]["source"]["init_args"]["noise"] == 0.2
    assert data["init_args"]["target"]["init_args"]["rotation"] == 35
