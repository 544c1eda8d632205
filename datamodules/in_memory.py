"""Image sets that are published as arrays and fit in memory."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datamodules.datasets import ImageDataset, LabelledImages, TensorImages
from datamodules.generated import read_generated
from datamodules.images import ImageDataModule
from datamodules.resumable import at_least
from datamodules.split import few_of_each

_CHUNK = 4096  # images converted at once, which bounds the memory for intermediate results
_FEW_STREAM = 2  # added to the key of that draw, so that it is independent of the split


class InMemoryImages(ImageDataModule):
    """Images of a published set with a training and a test part, decoded once into memory.

    Args:
        train_per_class: Keep only so many training images of each class, drawn with `split_seed` from those that the
            validation part has left; a smaller number keeps some of the same. None keeps all.
        generated: An `.npz` of labelled images, as the command `sample` writes it, that are added to the training part.
        **kwargs: See `ImageDataModule`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(self, *, train_per_class: int | None = None, generated: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if train_per_class is not None:
            at_least(1, train_per_class=train_per_class)
        self.train_per_class = train_per_class
        self.generated = generated

    @abstractmethod
    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Reads the training or the test part as it was published.

        Args:
            train: Whether the training part is wanted.

        Returns:
            Images, uint8 (N, C, H, W) of `native_shape`, and labels, int64 (N,).
        """

    def load_training(self) -> tuple[ImageDataset, ImageDataset | None]:
        """Reads the published training part, splits the validation part off, and takes or adds what is asked for.

        Raises:
            ValueError: If a class has too few images, or the generated ones do not fit.
        """
        image, label = self.read(train=True)
        rest, held_out = self.divide(label, self.val_size, name="val_size")
        validation = None
        if self.val_size > 0:
            validation = LabelledImages(TensorImages(self._converted(image[held_out])), label[held_out])
        if self.train_per_class is not None:
            keys = self.split_seed, _FEW_STREAM
            rest = rest[few_of_each(label[rest], self.train_per_class, self.class_names, "images", *keys)]
        image, label = self._converted(image[rest]), label[rest]
        if self.generated is not None:
            more, its_label = read_generated(Path(self.generated), self.image_shape, self.num_classes)
            image, label = torch.cat([image, more]), torch.cat([label, its_label])
        return LabelledImages(TensorImages(image), label), validation

    def load_test(self) -> ImageDataset:
        """Reads the published test part."""
        image, label = self.read(train=False)
        return LabelledImages(TensorImages(self._converted(image)), label)

    def _converted(self, image: Tensor) -> Tensor:
        """Brings images of `native_shape` to `image_shape`."""
        assert tuple(image.shape[1:]) == tuple(self.native_shape)
        _, height, width = self.image_shape
        if self.image_shape != self.native_shape:
            chunks = torch.split(image, _CHUNK)
            if self.grayscale:
                chunks = tuple(transforms.rgb_to_grayscale(chunk) for chunk in chunks)
            image = torch.cat([transforms.resize(chunk, [height, width], antialias=True) for chunk in chunks])
        return image
