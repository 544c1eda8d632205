import bz2
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets as sets

from datamodules import CIFAR10, KMNIST, MNIST, SVHN, USPS, FashionMNIST, ImageBatch, TorchvisionImages
from datamodules.datasets import LabelledImages, TensorImages

GENERATOR = np.random.default_rng(0)


@pytest.fixture
def real_data() -> str:
    """Folder with the real sets: $ESPALIER_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("ESPALIER_DATA", Path(__file__).parents[2] / "../shared/data"))
    if not (folder / "MNIST").is_dir():
        pytest.skip(f"no MNIST in {folder}: set ESPALIER_DATA to a folder that holds it")
    return str(folder)


def pixels(*shape: int) -> Any:
    return GENERATOR.integers(0, 256, shape, dtype=np.uint8)


def labels(count: int) -> Any:
    return (np.arange(count) % 10).astype(np.uint8)


def write_idx(root: Path, name: str, prefix: str, image: Any, label: Any) -> None:
    folder = root / name / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, *image.shape)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + image.tobytes())
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(
        struct.pack(">BBBBI", 0, 0, 8, 1, len(label)) + label.tobytes()
    )


def everything(data: TorchvisionImages, part: Any) -> ImageBatch:
    dataset = data.dataset(part)
    assert isinstance(dataset, LabelledImages)
    return dataset.__getitems__(range(len(dataset)))


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST])
def test_mnist_and_its_relatives(tmp_path: Path, kind: type[TorchvisionImages]) -> None:
    train, test = pixels(60, 28, 28), pixels(20, 28, 28)
    write_idx(tmp_path, kind.__name__, "train", train, labels(60))
    write_idx(tmp_path, kind.__name__, "t10k", test, labels(20))
    data = kind(root=str(tmp_path), val_size=0.0)
    assert everything(data, "train").image.numpy().tolist() == train[:, None].tolist()
    assert everything(data, "test").image.numpy().tolist() == test[:, None].tolist()
    assert everything(data, "test").label.tolist() == labels(20).tolist()
    assert everything(data, "test").image.shape[1:] == data.image_shape


def test_training_works_with_a_broken_test_file(tmp_path: Path) -> None:
    write_idx(tmp_path, "MNIST", "train", pixels(60, 28, 28), labels(60))
    write_idx(tmp_path, "MNIST", "t10k", pixels(20, 28, 28), labels(20))
    (tmp_path / "MNIST/raw/t10k-images-idx3-ubyte").write_bytes(b"not images")
    data = MNIST(root=str(tmp_path))
    data.prepare_data()
    data.setup("fit")
    assert sum(len(batch.index) for batch in data.train_dataloader()) == 54
    with pytest.raises(ValueError, match=r"^MNIST cannot be read from root=.*$"):
        data.setup("test")


def test_usps(tmp_path: Path) -> None:
    values = GENERATOR.uniform(-1, 1, (30, 256))
    lines = [
        f"{label + 1} " + " ".join(f"{place + 1}:{value:.6f}" for place, value in enumerate(row))
        for label, row in zip(labels(30), values, strict=True)
    ]
    (tmp_path / "usps.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))
    data = USPS(root=str(tmp_path), val_size=0.0, download=False)
    batch = everything(data, "train")
    assert batch.image.shape == (30, *data.image_shape)
    assert batch.label.tolist() == labels(30).tolist()
    expected = torch.from_numpy((values + 1) / 2 * 255).view(30, 1, 16, 16)
    assert (batch.image - expected).abs().max() <= 1.01


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(sets.CIFAR10, "_load_meta", lambda self: None)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    image = pixels(50, 3, 32, 32)
    for number in range(5):
        part = slice(10 * number, 10 * number + 10)
        entry = {"data": image[part].reshape(10, -1), "labels": labels(50)[part].tolist()}
        (folder / f"data_batch_{number + 1}").write_bytes(pickle.dumps(entry))
    data = CIFAR10(root=str(tmp_path), val_size=0.0)
    batch = everything(data, "train")
    assert batch.image.numpy().tolist() == image.tolist()
    assert batch.label.tolist() == labels(50).tolist()
    assert batch.image.shape[1:] == data.image_shape


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets.SVHN, "_check_integrity", lambda self: True)
    image = pixels(20, 3, 32, 32)
    label = np.where(labels(20) == 0, 10, labels(20))[:, None]  # SVHN writes 10 for 0
    for split in ("train", "test"):
        scipy.io.savemat(tmp_path / f"{split}_32x32.mat", {"X": image.transpose(2, 3, 1, 0), "y": label})
    data = SVHN(root=str(tmp_path), val_size=0.0, download=False)
    for part in ("train", "test"):
        batch = everything(data, part)
        assert batch.image.numpy().tolist() == image.tolist()
        assert batch.label.tolist() == labels(20).tolist()
        assert batch.image.shape[1:] == data.image_shape


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST, USPS, CIFAR10, SVHN])
def test_missing_data_end_in_one_clear_line(tmp_path: Path, kind: type[TorchvisionImages]) -> None:
    with pytest.raises(
        ValueError, match=rf"^{kind.__name__} cannot be read from root=.*{tmp_path.name}' and download is off: .*$"
    ):
        kind(root=str(tmp_path), download=False).setup("fit")


def refuse(*arguments: Any, **keywords: Any) -> None:
    raise OSError("Network is unreachable")


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST, USPS, CIFAR10, SVHN])
def test_failing_download_ends_in_one_clear_line(
    tmp_path: Path, kind: type[TorchvisionImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(
        ValueError, match=rf"^{kind.__name__} cannot be read from root=.* could not be downloaded: point root .*$"
    ):
        kind(root=str(tmp_path)).setup("fit")


def test_colour_is_reduced_and_size_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets.SVHN, "_check_integrity", lambda self: True)
    image = np.full((20, 3, 32, 32), 7, dtype=np.uint8)
    image[:, 0] = 200
    scipy.io.savemat(tmp_path / "train_32x32.mat", {"X": image.transpose(2, 3, 1, 0), "y": labels(20)[:, None]})
    data = SVHN(root=str(tmp_path), val_size=0.0, download=False, grayscale=True, image_size=28)
    batch = everything(data, "train")
    assert batch.image.shape == (20, 1, 28, 28)
    assert (batch.image.float() - (0.299 * 200 + 0.701 * 7)).abs().max() <= 1


def test_real_mnist(real_data: str) -> None:
    data = MNIST(root=real_data, download=False)
    assert [len(data.dataset(part)) for part in ("train", "val", "test")] == [54_000, 6_000, 10_000]  # type: ignore[arg-type]
    train = data.dataset("train")
    assert isinstance(train, LabelledImages)
    assert isinstance(train.source, TensorImages)
    assert train.source.image.double().mean() / 255 == pytest.approx(0.1307, abs=5e-4)
    published = sets.MNIST(real_data, train=False)
    whole = everything(data, "test")
    assert whole.image[:, 0].equal(published.data)
    assert whole.label.equal(published.targets)


def test_real_usps(real_data: str) -> None:
    batch = everything(USPS(root=real_data, download=False), "test")
    published = sets.USPS(real_data, train=False)
    assert len(published) == 2_007
    assert batch.image[:, 0].equal(torch.from_numpy(published.data))
    assert batch.label.tolist() == published.targets
