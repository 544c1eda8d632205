from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer
from seen_batches import Recorder
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import RandomHorizontalFlip, Resize

import datamodules
from datamodules import ImageBatch, ImageDataModule
from datamodules.in_memory import InMemoryImages
from networks.shapes import ImageShape


class Toy(InMemoryImages):
    """100 + 30 images whose pixels tell their number; remembers what was read."""

    native_shape = ImageShape(3, 4, 4)
    class_names = ("even", "odd")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reads: list[bool] = []

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        self.reads.append(train)
        number = torch.arange(100) if train else torch.arange(100, 130)
        image = number.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).clone()
        image[..., 0] = 255 - image[..., 0]  # the left column differs, so that a flip shows
        return image, number % 2


def make_trainer(tmp_path: Path) -> Trainer:
    return Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def as_rank(data: ImageDataModule, rank: int, world_size: int) -> ImageDataModule:
    progress = SimpleNamespace(current=SimpleNamespace(processed=0))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=rank,
        world_size=world_size,
        fit_loop=SimpleNamespace(epoch_progress=progress),
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    return data


def test_a_batch_moves_only_where_it_has_to() -> None:
    data = Toy(batch_size=10)
    batch = next(iter(data.train_dataloader()))
    assert data.transfer_batch_to_device(batch, torch.device("cpu"), 0) is batch
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert [part.device.type for part in moved] == ["meta", "meta", "meta"]


def test_batches_are_uint8_in_the_loader_and_float_after_the_transfer() -> None:
    data = Toy(batch_size=7)
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, ImageBatch)
    assert (batch.image.dtype, batch.label.dtype, batch.index.dtype) == (torch.uint8, torch.int64, torch.int64)
    assert batch.image.shape == (7, *data.image_shape)
    moved = data.on_after_batch_transfer(batch, 0)
    assert isinstance(moved, ImageBatch)
    assert moved.image.dtype == torch.float32
    assert moved.image.equal(batch.image / 255)
    assert moved.label.equal(batch.label)
    assert moved.index.equal(batch.index)


def test_rows_of_a_batch_belong_together() -> None:
    data = Toy(batch_size=30)
    whole = data.dataset("train").__getitems__(range(90))
    for batch in data.train_dataloader():
        assert isinstance(batch, ImageBatch)
        assert batch.image.equal(whole.image[batch.index])
        assert batch.label.equal(batch.image[:, 0, 0, 1] % 2)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loaders_never_draw_from_the_global_generator(num_workers: int) -> None:
    data = Toy(batch_size=7, eval_batch_size=9, num_workers=num_workers)
    validation = data.val_dataloader()
    assert isinstance(validation, DataLoader)
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), validation, data.test_dataloader(), data.predict_dataloader()):
        assert sum(len(batch.index) for batch in loader) == len(loader.dataset)  # type: ignore[arg-type]
        assert torch.get_rng_state().equal(before)


def test_shape_and_classes_are_declared_before_anything_is_read() -> None:
    data = Toy(image_size=6, grayscale=True)
    assert data.image_shape == ImageShape(1, 6, 6)
    assert data.num_classes == 2
    assert data.reads == []
    assert data.dataset("train").__getitems__([0, 1]).image.shape == (2, 1, 6, 6)


def test_its_name_is_written_without_reading_anything() -> None:
    data = Toy()
    assert str(data) == "Toy"
    assert data.reads == []


def test_fit_validate_and_predict_never_read_the_test_part(tmp_path: Path) -> None:
    data, model, trainer = Toy(), Recorder(), make_trainer(tmp_path)
    trainer.fit(model, data)
    trainer.validate(model, data, verbose=False)
    trainer.predict(model, data)
    assert data.reads == [True]
    assert model.evaluated
    model.evaluated.clear()
    trainer.test(model, data, verbose=False)
    assert data.reads == [True, False]
    assert torch.cat([batch.image for _, batch in model.evaluated]).amax() > 125 / 255


def test_testing_does_not_read_the_training_part(tmp_path: Path) -> None:
    data = Toy()
    make_trainer(tmp_path).test(Recorder(), data, verbose=False)
    assert data.reads == [False]


@pytest.mark.parametrize(("part", "size", "reads"), [("train", 90, [True]), ("val", 10, [True]), ("test", 30, [False])])
def test_predict_goes_through_its_part_in_order(tmp_path: Path, part: Any, size: int, reads: list[bool]) -> None:
    data = Toy(predict_part=part, eval_batch_size=8, augmentation=[RandomHorizontalFlip(1.0)])
    batches = make_trainer(tmp_path).predict(Recorder(), data)
    assert batches is not None
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(size))  # type: ignore[union-attr]
    whole = data.dataset(part).__getitems__(range(size))
    assert torch.cat([batch.image for batch in batches]).equal(whole.image / 255)  # type: ignore[union-attr]
    assert data.reads == reads


def test_only_training_batches_are_augmented(tmp_path: Path) -> None:
    data, model = Toy(augmentation=[RandomHorizontalFlip(1.0)]), Recorder()
    make_trainer(tmp_path).fit(model, data)
    validated = [batch for _, batch in model.evaluated]
    for part, (batch,), flipped in (("train", model.seen, True), ("val", validated, False)):
        plain = data.dataset(part).__getitems__(batch.index.tolist()).image / 255  # type: ignore[arg-type]
        assert batch.image.equal(plain.flip(-1) if flipped else plain)


def test_augmentation_that_changes_the_shape_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(3, 4, 4\) into \(3, 5, 5\)"):
        make_trainer(tmp_path).fit(Recorder(), Toy(augmentation=[Resize(5)]))


def test_training_images_are_plain_and_in_order() -> None:
    data = Toy(augmentation=[RandomHorizontalFlip(1.0)])
    chunks = list(data.training_images(batch_size=40))
    assert [len(chunk) for chunk in chunks] == [40, 40, 10]
    assert chunks[0].dtype == torch.float32
    assert torch.cat(chunks).equal(data.dataset("train").__getitems__(range(90)).image / 255)


def test_fingerprint_follows_the_training_part() -> None:
    fingerprints = [Toy(seed=0).fingerprint(), Toy(seed=1).fingerprint()]
    assert fingerprints[0] == fingerprints[1]
    assert len(bytes.fromhex(fingerprints[0])) == 32
    others = {Toy(split_seed=1).fingerprint(), Toy(val_size=0.2).fingerprint(), Toy(image_size=5).fingerprint()}
    relabelled = Toy()
    relabelled.dataset("train").label[0] ^= 1  # type: ignore[union-attr]
    assert len({fingerprints[0], relabelled.fingerprint()} | others) == 5


def test_no_validation_part(tmp_path: Path) -> None:
    data, model = Toy(val_size=0.0), Recorder()
    make_trainer(tmp_path).fit(model, data)
    assert sum(len(batch.index) for batch in model.seen) == 100
    assert model.evaluated == []
    with pytest.raises(ValueError, match=r"val_size=0.0 leaves no validation part"):
        data.predict_dataloader()


def test_drop_last() -> None:
    assert [len(batch.index) for batch in Toy(batch_size=40, drop_last=True).train_dataloader()] == [40, 40]
    assert [len(batch.index) for batch in Toy(batch_size=40).train_dataloader()] == [40, 40, 10]
    with pytest.raises(ValueError, match="batch_size=91 with drop_last leaves no batch of 90 images"):
        Toy(batch_size=91, drop_last=True).train_dataloader()


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(1, 12), st.sampled_from([0.1, 0.13, 0.29, 0.5]))
def test_processes_evaluate_each_image_once(world: int, size: int, val_size: float) -> None:
    ranks = [
        list(as_rank(Toy(eval_batch_size=size, val_size=val_size), rank, world).val_dataloader())
        for rank in range(world)
    ]
    indices = chain.from_iterable(batch.index.tolist() for batches in ranks for batch in batches)  # type: ignore[union-attr]
    assert sorted(indices) == list(range(round(100 * val_size)))


def test_more_processes_than_images_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"val part has 10 image\(s\) for 11 processes"):
        as_rank(Toy(), 0, 11).val_dataloader()


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"eval_batch_size": -1},
        {"image_size": 0},
        {"num_workers": -1},
        {"val_size": 1.0},
        {"val_size": -0.1},
        {"predict_part": "dev"},
    ],
)
def test_impossible_arguments_are_named(arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"^{name}={value!r} .*: choose .*$"):
        Toy(**arguments)


@pytest.mark.parametrize(
    "name", ["Digits", "MNIST", "FashionMNIST", "KMNIST", "USPS", "CIFAR10", "SVHN", "ImageFolder"]
)
def test_command_line_sees_every_argument_of_every_data_module(name: str, tmp_path: Path) -> None:
    assert name in datamodules.__all__
    (tmp_path / "class").mkdir()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageDataModule, "data")
    own = [] if name == "Digits" else [f"--data.root={tmp_path}"]
    flip = '[{"class_path": "RandomHorizontalFlip", "init_args": {"p": 0.3}}]'
    config = parser.parse_args(
        [f"--data={name}", *own, "--data.seed=3", "--data.image_size=9", f"--data.augmentation={flip}"]
    )
    data = parser.instantiate_classes(config).data
    assert (data.seed, data.image_shape[1:]) == (3, (9, 9))
    assert data.augmentation.transforms[0].p == 0.3
    assert data.augmentation.seed == 3
    base = {"batch_size", "eval_batch_size", "grayscale", "val_size", "split_seed", "num_workers", "drop_last"}
    assert base <= set(config.data.init_args.keys())
