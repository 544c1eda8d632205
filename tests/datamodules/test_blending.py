import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import datamodules.mnist_m as mnist_m
from datamodules import MNIST, MNISTM, BlendedDigits, Digits, ImageBatch
from datamodules.blending import blend


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs in nested folders; number k is all 10 * k, so that a picture tells what it was blended with."""
    for number in range(10):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 35 + number), (10 * number, 10 * number, 10 * number)).save(path)
    return tmp_path / "photos"


def everything(data: Any, part: str = "train") -> ImageBatch:
    dataset = data.dataset(part)
    batch = dataset.__getitems__(range(len(dataset)))
    assert isinstance(batch, ImageBatch)
    return batch


def made(root: Path, photos: Path, cache: Path, **arguments: Any) -> MNISTM:
    settings = {"download": False, "val_size": 0.0, **arguments}
    return MNISTM(root=str(root), photos=str(photos), cache=str(cache), **settings)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_pixels(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(9))


def test_a_digit_is_subtracted_from_a_crop_of_its_size() -> None:
    digit, photograph = random_pixels(5, 1, 4, 6), random_pixels(3, 4, 6)
    blended = blend(digit, [photograph], generator())
    assert blended.dtype == torch.uint8
    assert blended.tolist() == [
        [[[abs(photograph[c, y, x].item() - one[0, y, x].item()) for x in range(6)] for y in range(4)]
         for c in range(3)] for one in digit
    ]  # fmt: skip


def test_every_photograph_and_every_place_is_drawn() -> None:
    # a photograph's pixels tell its number, their column and their row
    row, column = torch.meshgrid(torch.arange(7), torch.arange(9), indexing="ij")
    photographs = [torch.stack([torch.full((7, 9), number), row, column]).byte() for number in range(3)]
    blended = blend(torch.zeros(3000, 1, 5, 4, dtype=torch.uint8), photographs, generator())
    corners = blended[:, :, 0, 0]
    counts = corners.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 3 * 3 * 6
    assert counts.min() > 25
    for corner, patch in zip(corners[:50], blended[:50], strict=True):
        number, top, left = corner.tolist()
        assert patch.equal(photographs[number][:, top : top + 5, left : left + 4])
    assert blend(torch.zeros(9, 1, 5, 4).byte(), photographs, generator(1)).equal(
        blend(torch.zeros(9, 1, 5, 4).byte(), photographs, generator(1))
    )


def test_mnist_m_is_mnist_on_photographs(
    mnist_root: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, published = (
        made(mnist_root, photos, tmp_path / "new/cache"),
        MNIST(root=str(mnist_root), download=False, val_size=0.0),
    )
    assert data.image_shape == (3, 28, 28)
    levels = {}
    for part, count, number in (("train", 300, 8), ("test", 60, 2)):
        blended, digit = everything(data, part), everything(published, part)
        assert blended.label.equal(digit.label)
        ink = digit.image.short()
        level = torch.stack([((10 * k - ink).abs() == blended.image).flatten(1).all(1) for k in range(10)])
        assert level.any(0).all()
        levels[part] = set(level.nonzero()[:, 0].tolist())
        out = capsys.readouterr().out
        assert out.startswith(
            f"MNIST-M: {count} {'training' if part == 'train' else 'test'} digits blended with {number} "
        )
        assert len(out.splitlines()) == 1
        assert Image.open(out.split()[-1]).size[0] > 500
    assert levels["train"] | levels["test"] == set(range(10))
    assert not levels["train"] & levels["test"]
    assert len(levels["test"]) == 2


def test_the_result_is_kept_until_something_changes(
    mnist_root: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blends = 0

    def counted(*arguments: Any) -> Tensor:
        nonlocal blends
        blends += 1
        return blend(*arguments)

    monkeypatch.setattr(mnist_m, "blend", counted)
    cache = tmp_path / "cache"
    first = everything(made(mnist_root, photos, cache)).image
    assert everything(made(mnist_root, photos, cache, seed=1)).image.equal(first)
    assert blends == 1
    (file,) = cache.glob("*.npz")

    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for number, damaged in enumerate((bytes(flipped), whole[:-1000], b"", b"not an archive")):
        file.write_bytes(damaged)
        assert everything(made(mnist_root, photos, cache)).image.equal(first)
        assert blends == 2 + number
        assert file.read_bytes() == whole

    assert not everything(made(mnist_root, photos, cache, blend_seed=1)).image.equal(first)
    Image.effect_noise((60, 60), 90).convert("RGB").save(photos / "a" / "0.png")
    assert not everything(made(mnist_root, photos, cache)).image.equal(first)
    assert blends == 7
    assert not list(cache.glob("*.tmp"))


def test_the_global_generator_is_left_alone(mnist_root: Path, photos: Path, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    everything(made(mnist_root, photos, tmp_path / "cache"))
    everything(BlendedDigits())
    assert torch.get_rng_state().equal(state)


def test_missing_and_broken_photographs_end_in_one_line(mnist_root: Path, photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ValueError, match=r"^photos='.*nowhere' holds 0 photographs, MNIST-M needs 5 or more: .*$"):
        made(mnist_root, tmp_path / "nowhere", cache).setup("fit")
    with pytest.raises(ValueError, match=r"^MNIST cannot be read from root="):
        made(tmp_path, photos, cache).setup("fit")
    (photos / "a" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^cannot read the picture '.*0.png': mend or remove it$"):
        made(mnist_root, photos, cache).setup("fit")
    Image.new("RGB", (100, 20)).save(photos / "a" / "0.png")
    with pytest.raises(ValueError, match=r"^photograph '.*0.png' is smaller than a digit: remove it$"):
        made(mnist_root, photos, cache).setup("fit")
    (photos / "a" / "0.png").unlink()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^cache='.*' cannot be written: choose a folder that can"):
        made(mnist_root, photos, tmp_path / "file" / "cache").setup("fit")


def test_blended_digits_are_the_digits_on_two_photographs() -> None:
    data, grey = BlendedDigits(), Digits()
    assert (data.image_shape, data.num_classes) == ((3, 8, 8), 10)
    for train in (True, False):
        image, label = data.read(train)
        ink, published = grey.read(train)
        assert label.equal(published)
        assert image.shape == (len(ink), 3, 8, 8)
        # where there is no ink there is the photograph, where it is full the negative of it
        for part in data._photographs(train):
            assert min(part.shape[1:]) >= 8
        background = image.float().mean(1, keepdim=True)[ink == 0]
        assert background.std() > 40
    assert not data.read(True)[0].equal(BlendedDigits(blend_seed=1).read(True)[0])
    assert BlendedDigits().fingerprint() == data.fingerprint() != BlendedDigits(shrink=8).fingerprint()


def test_photographs_of_the_test_part_are_other_squares() -> None:
    data = BlendedDigits(shrink=1)
    training, test = ({part.numpy().tobytes() for part in data._photographs(train)} for train in (True, False))
    assert not training & test
    squares = math.prod(math.ceil(side / 12) for side in (427, 640))  # of each photograph
    assert len(data._photographs(True)) + len(data._photographs(False)) <= 2 * squares
    assert len(data._photographs(False)) / len(data._photographs(True)) == pytest.approx(1 / 4, rel=0.05)


@pytest.mark.parametrize("shrink", [0, 60])
def test_impossible_shrinking_is_named(shrink: int) -> None:
    with pytest.raises(ValueError, match=rf"^shrink={shrink} .*: choose "):
        BlendedDigits(shrink=shrink).setup("fit")


def test_real_mnist_m(tmp_path: Path) -> None:
    folder = Path(os.environ.get("ESPALIER_DATA", Path(__file__).parents[2] / "../shared/data"))
    if not (folder / "MNIST").is_dir() or not (folder / "BSDS500").is_dir():
        pytest.skip(f"no MNIST and BSDS500 in {folder}: set ESPALIER_DATA to a folder that holds them")
    data = made(folder, folder / "BSDS500", tmp_path)
    batch = everything(data, "test")
    assert len(batch.image) == 10_000
    # as in the authors' set, images are mid-grey on average and coloured
    assert 90 < batch.image.float().mean() < 140
    assert (batch.image.float().amax(1) - batch.image.float().amin(1)).mean() > 20
