"""Two domains as one set of data: their batches, their order over a run, and what does not fit together."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from seen_batches import Recorder, SaveMidway
from small_pair import moons, trainer
from torchvision.transforms.v2 import RandomCrop

import cli
from datamodules import (
    CIFAR10,
    MNIST,
    USPS,
    BlendedDigits,
    Digits,
    DomainPair,
    FashionMNIST,
    GaussianRing,
    ImageBatch,
    ImageFolder,
    OracleDomainPair,
    PythonDocs,
    TwoMoons,
    UnlabelledImageBatch,
)


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
        (moons, TwoMoons, "source is a DomainPair: choose data of one domain, images or points"),
        (TwoMoons, PythonDocs, "target is a PythonDocs: choose data of one domain, images or points"),
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
