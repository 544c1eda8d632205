"""Image sets that are published as arrays and fit in memory."""

from abc import abstractmethod

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datamodules.datasets import ImageDataset, LabelledImages, TensorImages
from datamodules.images import ImageDataModule
from datamodules.split import stratified_split

_CHUNK = 4096  # images converted at once, which bounds the memory for intermediate results


class InMemoryImages(ImageDataModule):
    """Images of a published set with a training and a test part, decoded once into memory."""

    @abstractmethod
    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Reads the training or the test part as it was published.

        Args:
            train: Whether the training part is wanted.

        Returns:
            Images, uint8 (N, C, H, W) of `native_shape`, and labels, int64 (N,).
        """

    def load_training(self) -> tuple[ImageDataset, ImageDataset | None]:
        """Reads the published training part and splits the validation part off."""
        image, label = self.read(train=True)
        rest, held_out = stratified_split(label, self.val_size, self.split_seed, name="val_size")
        validation = self._labelled(image[held_out], label[held_out]) if self.val_size > 0 else None
        return self._labelled(image[rest], label[rest]), validation

    def load_test(self) -> ImageDataset:
        """Reads the published test part."""
        return self._labelled(*self.read(train=False))

    def _labelled(self, image: Tensor, label: Tensor) -> LabelledImages:
        assert tuple(image.shape[1:]) == tuple(self.native_shape)
        _, height, width = self.image_shape
        if self.image_shape != self.native_shape:
            chunks = torch.split(image, _CHUNK)
            if self.grayscale:
                chunks = tuple(transforms.rgb_to_grayscale(chunk) for chunk in chunks)
            image = torch.cat([transforms.resize(chunk, [height, width], antialias=True) for chunk in chunks])
        return LabelledImages(TensorImages(image), label)
