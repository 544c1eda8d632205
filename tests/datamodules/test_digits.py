import pytest
import torch
from sklearn.datasets import load_digits

from datamodules import Digits, ImageBatch
from datamodules.datasets import LabelledImages, TensorImages


def whole_part(data: Digits, part: str) -> ImageBatch:
    dataset = data.dataset(part)  # type: ignore[arg-type]
    assert isinstance(dataset, LabelledImages)
    return dataset.__getitems__(range(len(dataset)))


def test_parts_are_the_published_images_each_once() -> None:
    data = Digits()
    parts = [whole_part(data, part) for part in ("train", "val", "test")]
    assert [len(part.label) for part in parts] == [1294, 144, 359]
    ours = torch.cat([torch.cat([part.image.flatten(1).long(), part.label[:, None]], dim=1) for part in parts])
    images, targets = load_digits(return_X_y=True)
    pixels = torch.from_numpy(images / 16 * 255).round().long()
    published = torch.cat([pixels, torch.from_numpy(targets)[:, None]], dim=1)
    assert sorted(ours.tolist()) == sorted(published.tolist())
    assert (int(ours.min()), int(ours.max())) == (0, 255)


def test_classes_have_equal_shares_of_all_parts() -> None:
    data = Digits()
    shares = [
        whole_part(data, part).label.bincount(minlength=10) / len(data.dataset(part))
        for part in ("train", "val", "test")
    ]
    for share in shares[1:]:
        assert (share - shares[0]).abs().max() < 0.01


def test_test_part_is_fixed_and_validation_follows_split_seed_only() -> None:
    first, other = Digits(seed=0, split_seed=0), Digits(seed=1, split_seed=1, val_size=0.5)
    assert whole_part(first, "test").image.equal(whole_part(other, "test").image)
    assert whole_part(first, "val").image.equal(whole_part(Digits(seed=1), "val").image)
    assert not whole_part(first, "val").image.equal(whole_part(Digits(split_seed=1), "val").image)


@pytest.mark.parametrize(
    ("arguments", "shape"), [({}, (1, 8, 8)), ({"image_size": 12}, (1, 12, 12)), ({"grayscale": True}, (1, 8, 8))]
)
def test_declared_shape_is_delivered(arguments: dict[str, int], shape: tuple[int, int, int]) -> None:
    data = Digits(**arguments)  # type: ignore[arg-type]
    assert data.image_shape == shape
    for part in ("train", "val", "test"):
        source = data.dataset(part).source  # type: ignore[arg-type]
        assert isinstance(source, TensorImages)
        assert source.image.shape[1:] == shape
        assert source.image.dtype == torch.uint8
