from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import ImageBatch, ImageFolder, UnlabelledImageBatch
from datamodules.datasets import FileImages, TensorImages

MODES = ["RGB", "RGBA", "P", "L", "LA", "I;16", "1", "CMYK"]


def write(path: Path, colour: Any = (10, 20, 30), size: tuple[int, int] = (12, 9), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Twenty red "a", ten green "b" of several sizes, and things to pass over."""
    for number in range(20):
        write(tmp_path / "a" / f"{number}.png", (200, 0, 0), (10 + number, 8))
    for number in range(10):
        write(tmp_path / "b" / "deeper" / f"{number}.jpg", (0, 200, 0), (9, 10 + number))
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    (tmp_path / "a" / ".hidden.png").write_text("no picture")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.md").write_text("no picture")
    return tmp_path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for number in range(10):
        write(tmp_path / f"{number}.png", (number, number, number))
    return tmp_path


def everything(data: ImageFolder, part: Any) -> Any:
    dataset = data.dataset(part)
    return dataset.__getitems__(range(len(dataset)))


def test_declares_before_reading(classes: Path) -> None:
    (classes / "a" / "0.png").write_text("broken")
    data = ImageFolder(root=str(classes), image_size=16, grayscale=True)
    assert data.image_shape == (1, 16, 16)
    assert data.class_names == ("a", "b")
    assert data.num_classes == 2


def test_labels_follow_the_folders_in_all_parts(classes: Path) -> None:
    data = ImageFolder(root=str(classes), image_size=8, val_size=0.25, test_size=0.2)
    for part, counts in (("train", [12, 6]), ("val", [4, 2]), ("test", [4, 2])):
        batch = everything(data, part)
        assert isinstance(batch, ImageBatch)
        assert batch.image.shape[1:] == data.image_shape
        assert batch.image.dtype == torch.uint8
        assert batch.label.bincount().tolist() == counts
        red, green = batch.image[:, 0].float().mean((1, 2)), batch.image[:, 1].float().mean((1, 2))
        assert (green > red).long().equal(batch.label)


def test_parts_are_disjoint_and_follow_split_seed(flat: Path) -> None:
    def values(part: str, **arguments: Any) -> list[int]:
        data = ImageFolder(root=str(flat), image_size=8, val_size=0.25, **arguments)
        return sorted(everything(data, part).image[:, 0, 0, 0].tolist())

    assert sorted(values("train") + values("val") + values("test")) == list(range(10))
    assert len(values("test")) == 2
    assert values("test", seed=1) == values("test")
    assert len({tuple(values("test", split_seed=seed)) for seed in range(5)}) > 1


def test_flat_folder_has_no_labels(flat: Path) -> None:
    data = ImageFolder(root=str(flat), image_size=8)
    assert data.num_classes == 0
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, UnlabelledImageBatch)
    assert batch._fields == ("image", "index")
    assert not hasattr(batch, "label")
    moved = data.on_after_batch_transfer(batch, 0)
    assert isinstance(moved, UnlabelledImageBatch)
    assert moved.image.equal(batch.image / 255)


def test_given_parts_are_honoured(tmp_path: Path) -> None:
    for part, red in (("train", 50), ("val", 100), ("test", 150)):
        for number in range(3):
            write(tmp_path / part / "cat" / f"{number}.png", (red, 0, 0))
    write(tmp_path / "train" / "dog" / "0.png", (50, 0, 0))
    write(tmp_path / "train" / "ant" / "0.png", (50, 0, 0))
    data = ImageFolder(root=str(tmp_path), image_size=8)
    assert data.class_names == ("ant", "cat", "dog")
    assert everything(data, "train").label.tolist() == [0, 1, 1, 1, 2]
    for part, red in (("train", 50), ("val", 100), ("test", 150)):
        assert everything(data, part).image[:, 0].unique().tolist() == [red]
    assert everything(data, "val").label.tolist() == everything(data, "test").label.tolist() == [1, 1, 1]


def test_validation_is_split_off_where_only_train_and_test_are_given(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("test", 3)):
        for number in range(count):
            write(tmp_path / part / f"{number}.png")
    data = ImageFolder(root=str(tmp_path), image_size=8, val_size=0.2)
    assert [len(data.dataset(part)) for part in ("train", "val", "test")] == [8, 2, 3]  # type: ignore[arg-type]


def test_training_does_not_open_the_test_part(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(10):
            write(tmp_path / part / f"{number}.png")
    (tmp_path / "test" / "0.png").write_text("broken")
    data = ImageFolder(root=str(tmp_path), image_size=8)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"cannot read 1 picture\(s\).*0\.png"):
        data.setup("test")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_decoded(tmp_path: Path, mode: str, channels: int) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    grey = np.full((9, 12), 102, dtype=np.uint8)
    picture = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey)
    if mode == "1":
        picture = Image.new("1", (12, 9), 1)
    elif mode != "I;16":
        picture = picture.convert("RGB").convert(mode) if mode in ("RGBA", "P", "CMYK") else picture.convert(mode)
    assert picture.mode == mode
    for number in range(2):
        picture.save(tmp_path / f"{number}.{suffix}")
    data = ImageFolder(root=str(tmp_path), image_size=8, val_size=0.0, test_size=0.0, grayscale=channels == 1)
    image = everything(data, "train").image
    assert image.shape == (2, channels, 8, 8)
    assert (image.int() - (255 if mode == "1" else 102)).abs().max() <= 1


def test_transparent_becomes_white(tmp_path: Path) -> None:
    write(tmp_path / "0.png", (0, 0, 0, 0), mode="RGBA")
    palette = Image.new("P", (12, 9), 0)
    palette.putpalette([0, 0, 0])
    palette.save(tmp_path / "1.png", transparency=0)
    data = ImageFolder(root=str(tmp_path), image_size=8, val_size=0.0, test_size=0.0)
    assert everything(data, "train").image.unique().tolist() == [255]


def test_picture_is_turned_upright_and_its_middle_cut_out(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 90
    wide[:5, 10:20] = 180
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(np.rot90(wide).copy()).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(wide).save(tmp_path / "upright.png")
    data = ImageFolder(root=str(tmp_path), image_size=10, val_size=0.0, test_size=0.0)
    for image in everything(data, "train").image:
        assert image[:, :5].unique().tolist() == [180]
        assert image[:, 5:].unique().tolist() == [90]


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    for number in range(2):
        Image.fromarray(stripes).save(tmp_path / f"{number}.png")
    data = ImageFolder(root=str(tmp_path), image_size=8, val_size=0.0, test_size=0.0)
    assert (everything(data, "train").image.float() - 127.5).abs().max() < 10


def test_all_broken_files_are_named_at_once(classes: Path) -> None:
    (classes / "a" / "3.png").write_bytes(b"not a picture")
    (classes / "a" / "4.png").write_bytes(b"")
    whole = (classes / "b" / "deeper" / "5.jpg").read_bytes()
    (classes / "b" / "deeper" / "5.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"^cannot read 3 picture\(s\).*$") as caught:
        ImageFolder(root=str(classes), image_size=8, test_size=0.0).setup("fit")
    for name in ("3.png", "4.png", "5.jpg"):
        assert name in str(caught.value)


def test_more_than_the_memory_limit_is_decoded_by_workers(classes: Path) -> None:
    small = {"root": str(classes), "image_size": 8, "batch_size": 5, "seed": 3}
    kept = ImageFolder(**small)  # type: ignore[arg-type]
    lazy = ImageFolder(**small, memory_limit_gb=0.0, num_workers=2)  # type: ignore[arg-type]
    assert isinstance(kept.dataset("train").source, TensorImages)
    assert isinstance(lazy.dataset("train").source, FileImages)
    for one, other in zip(kept.train_dataloader(), lazy.train_dataloader(), strict=True):
        assert isinstance(other, ImageBatch)
        assert all(first.equal(second) for first, second in zip(one, other, strict=True))
    assert torch.cat(list(kept.training_images())).equal(torch.cat(list(lazy.training_images())))


def test_lazy_decoding_finds_broken_files_too(classes: Path) -> None:
    (classes / "a" / "3.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"^cannot read 1 picture\(s\).*3.png$"):
        ImageFolder(root=str(classes), memory_limit_gb=0.0, num_workers=1, test_size=0.0).setup("fit")


def test_lazy_decoding_without_workers_is_reported(classes: Path) -> None:
    with pytest.warns(UserWarning, match="24 pictures exceed memory_limit_gb=0.0 .* set num_workers"):
        ImageFolder(root=str(classes), memory_limit_gb=0.0).setup("fit")


@pytest.mark.parametrize("limit", [0.0, 4.0])
def test_fingerprint_follows_the_pictures(classes: Path, limit: float) -> None:
    def fingerprint() -> str:
        return ImageFolder(
            root=str(classes), memory_limit_gb=limit, num_workers=1, test_size=0.0, val_size=0.0
        ).fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    write(classes / "a" / "0.png", (0, 0, 255), (70, 90))
    assert fingerprint() != before


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere' is not a folder"):
        ImageFolder(root=str(tmp_path / "nowhere"))


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds neither pictures nor folders"):
        ImageFolder(root=str(tmp_path))


def test_loose_pictures_beside_classes(classes: Path) -> None:
    write(classes / "loose.png")
    with pytest.raises(ValueError, match=r"1 loose picture\(s\)"):
        ImageFolder(root=str(classes))


def test_class_without_pictures(classes: Path) -> None:
    (classes / "c").mkdir()
    with pytest.raises(ValueError, match="class folders without pictures: c"):
        ImageFolder(root=str(classes)).setup("fit")


def test_class_that_training_lacks(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a" / "0.png")
    write(tmp_path / "val" / "b" / "0.png")
    with pytest.raises(ValueError, match="classes that the training part has not: b"):
        ImageFolder(root=str(tmp_path)).setup("fit")


def test_unlabelled_validation_of_labelled_training(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a" / "0.png")
    write(tmp_path / "val" / "0.png")
    with pytest.raises(ValueError, match="val has no class folders"):
        ImageFolder(root=str(tmp_path)).setup("fit")


def test_validation_folder_without_training_folder(tmp_path: Path) -> None:
    write(tmp_path / "val" / "a" / "0.png")
    with pytest.raises(ValueError, match="none named train"):
        ImageFolder(root=str(tmp_path))


@pytest.mark.parametrize(("divided", "message"), [(True, "none named test"), (False, "test_size=0")])
def test_no_test_part(tmp_path: Path, divided: bool, message: str) -> None:
    for number in range(10):
        write(tmp_path / ("train" if divided else ".") / f"{number}.png")
    data = ImageFolder(root=str(tmp_path), image_size=8, test_size=0.0)
    data.setup("fit")
    with pytest.raises(ValueError, match=message):
        data.setup("test")


@pytest.mark.parametrize("arguments", [{"test_size": 1.0}, {"memory_limit_gb": -1.0}, {"image_size": 0}])
def test_impossible_arguments_are_named(classes: Path, arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"^{name}={value} .*: choose .*$"):
        ImageFolder(root=str(classes), **arguments)
