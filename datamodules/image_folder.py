"""Your own pictures: a folder of classes, or a flat folder without labels."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from datamodules.datasets import (
    FileImages,
    ImageDataset,
    ImageSource,
    LabelledImages,
    TensorImages,
    UnlabelledImages,
)
from datamodules.decoding import check_headers, decode_images, is_picture, pictures_under
from datamodules.images import ImageDataModule
from networks.shapes import ImageShape

_TEST_STREAM = 1  # added to the key of that draw, so that the test and the validation part are drawn independently


class _Files(NamedTuple):
    """Pictures in a fixed order, and the class of each: int64 (N,), all 0 in a folder without classes."""

    paths: list[Path]
    label: Tensor

    def at(self, index: Tensor) -> "_Files":
        return _Files([self.paths[position] for position in index.tolist()], self.label[index])


class ImageFolder(ImageDataModule):
    """Pictures in a folder: one sub-folder per class, or all in one folder without labels.

    ```
    root/cat/1.jpg   root/dog/2.png         labelled
    root/1.jpg       root/2.png             unlabelled: the batches have no label field, num_classes is 0
    root/train/...   root/val/...   root/test/...    either of these, divided; val may be left out
    ```

    Pictures may have any size and mode. Upright according to EXIF, on white where transparent, converted to RGB (or to
    grey), they are resized with antialiasing to cover a square, and its middle is cut out. Hidden files and files that
    are not named like pictures (`datamodules.decoding.SUFFIXES`) are passed over. Sub-folders of a class belong to it.

    What fits in memory is decoded once; more than `memory_limit_gb` is decoded anew for every batch, which is work for
    `num_workers`.

    Args:
        root: The folder.
        image_size: Side in pixels of the square.
        test_size: Share of all pictures held out for testing, in [0, 1), stratified by class and drawn with
            `split_seed`; not used if there is a `root/train`, nor is `val_size` if there is a `root/val`.
        memory_limit_gb: Size in 10^9 bytes of decoded pictures, per process, up to which they are kept in memory.
        **kwargs: See `ImageDataModule`.

    Raises:
        ValueError: If the folder is missing or empty, its layout is ambiguous, or a size is impossible.
    """

    def __init__(
        self,
        *,
        root: str,
        image_size: int = 64,
        test_size: float = 0.2,
        memory_limit_gb: float = 4.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_size=image_size, **kwargs)
        if not 0 <= test_size < 1:
            raise ValueError(f"test_size={test_size} is not a share of the pictures: choose one in [0, 1)")
        if memory_limit_gb < 0:
            raise ValueError(f"memory_limit_gb={memory_limit_gb} is negative: choose 0 to keep nothing in memory")
        self.root = Path(root)
        self.test_size = test_size
        self.memory_limit_gb = memory_limit_gb
        self.native_shape = ImageShape(3, image_size, image_size)
        if not self.root.is_dir():
            raise ValueError(f"root={root!r} is not a folder: set it to the folder of your pictures")
        self._divided = (self.root / "train").is_dir()
        training = self.root / "train" if self._divided else self.root
        self.class_names = _class_names(training)
        if set(self.class_names) & {"val", "test"} and not self._divided:
            raise ValueError(f"{self.root} has folders named val or test but none named train: add it or rename them")

    def load_training(self) -> tuple[ImageDataset, ImageDataset | None]:
        """Reads the training and the validation part.

        Raises:
            ValueError: If pictures cannot be read (all are named), or the folders of two parts do not match.
        """
        training = self._list(self.root / "train") if self._divided else self._divide()[0]
        if self._divided and (self.root / "val").is_dir():
            validation = self._list(self.root / "val")
        elif self.val_size > 0:
            rest, held_out = self.divide(training.label, self.val_size, name="val_size")
            training, validation = training.at(rest), training.at(held_out)
        else:
            return self._datasets_of(training)[0], None
        first, second = self._datasets_of(training, validation)
        return first, second

    def load_test(self) -> ImageDataset:
        """Reads the test part.

        Raises:
            ValueError: If there is none, its folders do not match the training part's, or pictures cannot be read.
        """
        if not self._divided:
            if self.test_size == 0:
                raise ValueError("test_size=0 leaves no test part: choose a larger one")
            return self._datasets_of(self._divide()[1])[0]
        if not (self.root / "test").is_dir():
            raise ValueError(f"{self.root} has a folder train but none named test: add one to test")
        return self._datasets_of(self._list(self.root / "test"))[0]

    def _divide(self) -> tuple[_Files, _Files]:
        files = self._list(self.root)
        rest, test = self.divide(files.label, self.test_size, _TEST_STREAM, name="test_size")
        return files.at(rest), files.at(test)

    def _list(self, folder: Path) -> _Files:
        names = _class_names(folder)
        if unknown := sorted(set(names) - set(self.class_names)):
            raise ValueError(f"{folder} has classes that the training part has not: {', '.join(unknown)}")
        if bool(names) != bool(self.class_names):
            raise ValueError(f"{folder} has no class folders, but the training part has: sort its pictures into them")
        if not names:
            paths = sorted(path for path in folder.iterdir() if is_picture(path))
            return _Files(paths, torch.zeros(len(paths), dtype=torch.int64))
        of_class = [pictures_under(folder / name) if name in names else [] for name in self.class_names]
        if empty := [name for name in names if not of_class[self.class_names.index(name)]]:
            raise ValueError(f"{folder} has class folders without pictures: {', '.join(empty)}")
        counts = torch.tensor([len(paths) for paths in of_class])
        return _Files(list(chain.from_iterable(of_class)), torch.arange(len(counts)).repeat_interleave(counts))

    def _datasets_of(self, *parts: _Files) -> list[ImageDataset]:
        # All at once, so that one error names every broken file.
        paths = [path for part in parts for path in part.paths]
        sources: Sequence[ImageSource]
        if len(paths) * self.image_shape.numel <= self.memory_limit_gb * 1e9:
            image = decode_images(paths, self.image_shape)
            sources = [TensorImages(piece) for piece in torch.split(image, [len(part.paths) for part in parts])]
        else:
            check_headers(paths)
            if self.num_workers == 0:
                rank_zero_warn(
                    f"{len(paths)} pictures exceed memory_limit_gb={self.memory_limit_gb} and are decoded for every "
                    "batch: set num_workers to do it in the background"
                )
            sources = [FileImages(part.paths, self.image_shape) for part in parts]
        if not self.class_names:
            return [UnlabelledImages(source) for source in sources]
        return [LabelledImages(source, part.label) for source, part in zip(sources, parts, strict=True)]


def _class_names(folder: Path) -> tuple[str, ...]:
    """Names of the sub-folders in alphabetical order; none if the folder holds the pictures itself."""
    visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    names = tuple(sorted(path.name for path in visible if path.is_dir()))
    loose = sum(is_picture(path) for path in visible)
    if names and loose:
        raise ValueError(f"{folder} holds {loose} loose picture(s) beside its folders: move them into a class folder")
    if not names and not loose:
        raise ValueError(f"{folder} holds neither pictures nor folders of pictures: fill it or choose another root")
    return names
