"""Datasets that hand out whole batches: images in memory or in files, with labels or without.

Where the pixels come from and whether there are labels are separate questions: an `ImageSource` answers the first,
`LabelledImages` and `UnlabelledImages` answer the second.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.batch import ImageBatch, UnlabelledImageBatch
from datamodules.decoding import decode_images
from networks.shapes import ImageShape


class ImageSource(Protocol):
    """A fixed sequence of images of one shape."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Tensor:
        """Returns the images at the positions `index`, int64 (B,), as uint8 (B, C, H, W)."""
        ...

    def digest(self) -> bytes:
        """Returns a SHA-256 of the content."""
        ...


class TensorImages:
    """Images that are in memory.

    Args:
        image: uint8 (N, C, H, W).
    """

    def __init__(self, image: Tensor) -> None:
        assert image.dtype == torch.uint8
        assert image.ndim == 4
        self.image = image.contiguous()

    def __len__(self) -> int:
        return len(self.image)

    def take(self, index: Tensor) -> Tensor:
        """Copies the images at the positions `index`, int64 (B,), into a new uint8 (B, C, H, W)."""
        return self.image.index_select(0, index)  # three times faster than self.image[index]

    def digest(self) -> bytes:
        """Returns a SHA-256 of shape and pixels."""
        digest = hashlib.sha256(str(tuple(self.image.shape)).encode())
        digest.update(self.image.numpy().data)
        return digest.digest()


class FileImages:
    """Images that stay in their files and are decoded anew whenever they are asked for.

    Args:
        paths: One picture each.
        shape: What each is converted, resized and cropped to.
    """

    def __init__(self, paths: Sequence[Path], shape: ImageShape) -> None:
        self.paths = list(paths)
        self.shape = shape

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, index: Tensor) -> Tensor:
        """Decodes the images at the positions `index`, int64 (B,), into uint8 (B, C, H, W).

        Raises:
            ValueError: If a file cannot be decoded.
        """
        return decode_images([self.paths[position] for position in index.tolist()], self.shape)

    def digest(self) -> bytes:
        """Returns a SHA-256 of shape, file names and file sizes; the pixels are too many to read for it."""
        digest = hashlib.sha256(str(tuple(self.shape)).encode())
        for path in self.paths:
            digest.update(f"{path.parent.name}/{path.name}:{path.stat().st_size}\n".encode())
        return digest.digest()


class LabelledImages(Dataset[ImageBatch]):
    """Images with their classes.

    Args:
        source: The images.
        label: int64 (N,), class of each.
    """

    def __init__(self, source: ImageSource, label: Tensor) -> None:
        assert len(source) == len(label)
        assert label.dtype == torch.int64
        self.source = source
        self.label = label

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, indices: Sequence[int]) -> ImageBatch:
        index = torch.tensor(indices)
        return ImageBatch(self.source.take(index), self.label.index_select(0, index), index)

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over images and labels."""
        return hashlib.sha256(self.source.digest() + self.label.numpy().tobytes()).hexdigest()

    def unlabelled(self) -> "UnlabelledImages":
        """Returns the same images without their classes."""
        return UnlabelledImages(self.source)


class UnlabelledImages(Dataset[UnlabelledImageBatch]):
    """Images without classes.

    Args:
        source: The images.
    """

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, indices: Sequence[int]) -> UnlabelledImageBatch:
        index = torch.tensor(indices)
        return UnlabelledImageBatch(self.source.take(index), index)

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over the images."""
        return self.source.digest().hex()

    def unlabelled(self) -> "UnlabelledImages":
        """Returns itself."""
        return self


ImageDataset = LabelledImages | UnlabelledImages
