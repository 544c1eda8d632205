from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import Digits
from datamodules.datasets import LabelledImages, TensorImages


def parts(data: Digits, part: str = "train") -> tuple[torch.Tensor, torch.Tensor]:
    dataset = data.dataset(part)  # type: ignore[arg-type]
    assert isinstance(dataset, LabelledImages)
    assert isinstance(dataset.source, TensorImages)
    return dataset.source.image, dataset.label


def rows(image: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in image}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes generated images of digits, or what stands in for them."""

    def run(**arrays: Any) -> str:
        generator = np.random.default_rng(0)
        fitting = {
            "sample": generator.random((20, 1, 8, 8), dtype=np.float32),
            "label": np.arange(20, dtype=np.int64) % 10,
        }
        chosen = {name: values for name, values in {**fitting, **arrays}.items() if values is not None}
        np.savez(tmp_path / "samples.npz", **chosen)
        return str(tmp_path / "samples.npz")

    return run


def test_so_many_of_each_class_are_kept_of_what_the_validation_part_leaves() -> None:
    everything, few = Digits(), Digits(train_per_class=20)
    image, label = parts(few)
    assert label.bincount().tolist() == 10 * [20]
    assert rows(image) <= rows(parts(everything)[0])
    assert parts(few, "val")[0].equal(parts(everything, "val")[0])
    assert parts(few, "test")[0].equal(parts(everything, "test")[0])


def test_the_choice_follows_split_seed_alone_and_fewer_are_some_of_more() -> None:
    image, _ = parts(Digits(train_per_class=20))
    assert parts(Digits(train_per_class=20, seed=7))[0].equal(image)
    assert not parts(Digits(train_per_class=20, split_seed=7))[0].equal(image)
    assert rows(parts(Digits(train_per_class=5))[0]) <= rows(image)


def test_too_many_of_each_class_are_named() -> None:
    with pytest.raises(ValueError, match=r"^train_per_class=130 is more than the 12\d training images of class '\d'"):
        Digits(train_per_class=130).dataset("train")
    with pytest.raises(ValueError, match=r"^train_per_class=0 is impossible"):
        Digits(train_per_class=0)


def test_images_without_classes_cannot_be_counted_by_class() -> None:
    class Nameless(Digits):
        class_names = ()

    with pytest.raises(ValueError, match=r"^train_per_class=3 needs classes: leave it out"):
        Nameless(train_per_class=3).dataset("train")


def test_generated_images_are_added_to_the_training_part_only(write: Callable[..., str]) -> None:
    path = write()
    plain, data = Digits(train_per_class=5), Digits(train_per_class=5, generated=path)
    image, label = parts(data)
    assert len(label) == 50 + 20
    assert image[:50].equal(parts(plain)[0])
    written = np.load(path)
    assert image[50:].float().div(255).sub(torch.from_numpy(written["sample"])).abs().max() <= 0.5 / 255 + 1e-6
    assert label[50:].tolist() == written["label"].tolist()
    assert parts(data, "val")[0].equal(parts(plain, "val")[0])
    assert data.fingerprint() != plain.fingerprint()


@pytest.mark.parametrize(
    ("arrays", "line"),
    [
        ({"sample": None}, "has no 'sample'"),
        ({"label": None}, "has no 'label': sample from a class-conditional model"),
        ({"sample": np.zeros((20, 1, 9, 9), np.float32)}, r"\(20, 1, 9, 9\) instead of float images of \(1, 8, 8\)"),
        ({"sample": np.zeros((20, 1, 8, 8), np.uint8)}, "holds torch.uint8"),
        ({"sample": np.full((20, 1, 8, 8), np.nan, np.float32)}, r"outside \[0, 1\]"),
        ({"label": np.arange(20)}, "labels from 0 to 19 for 10 classes"),
        ({"label": np.zeros(3, np.int64)}, r"labels torch.int64 \(3,\) for 20 images"),
    ],
)
def test_generated_images_that_do_not_fit_are_named(
    write: Callable[..., str], arrays: dict[str, Any], line: str
) -> None:
    with pytest.raises(ValueError, match=f"^generated='.*samples.npz' .*{line}"):
        Digits(generated=write(**arrays)).dataset("train")


def test_a_missing_or_broken_file_ends_in_one_line(tmp_path: Path, errors_of: Callable[[list[str]], list[str]]) -> None:
    command = ["fit", "--config=configs/vae/digits.yaml", f"--run.dir={tmp_path}", "--wandb.mode=disabled"]
    (line,) = errors_of([*command, f"--data.generated={tmp_path / 'none.npz'}"])
    assert "none.npz' is no file: give the samples.npz" in line
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    (line,) = errors_of([*command, f"--data.generated={tmp_path / 'bad.npz'}"])
    assert "bad.npz' cannot be read" in line
