"""What the DataModules of all image sets share: declared shapes, pixels as float32 on the device, augmentation."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import Transform

from datamodules.augmentation import KeyedAugmentation
from datamodules.batch import ImageBatch, UnlabelledImageBatch
from datamodules.datasets import ImageDataset
from datamodules.resumable import Part, ResumableDataModule, at_least
from datamodules.split import stratified_split
from networks.shapes import ImageShape

AnyImageBatch = ImageBatch | UnlabelledImageBatch


class ImageDataModule(ResumableDataModule[ImageDataset]):
    """Images in a training, a validation and a test part.

    Subclasses say what the images look like (`native_shape`, `class_names`) and load the parts. This class declares
    `image_shape` and `num_classes` before anything is loaded, and does the rest. Images travel as uint8 and become
    float32 in [0, 1] on the device. The test part is loaded only to test, or to predict on it.

    Args:
        image_size: Side in pixels of the square that images are resized to; None leaves them as they are.
        grayscale: Reduce colour to one channel of luma.
        augmentation: Transforms (`torchvision.transforms.v2`, `PhotoAugmentation`) of the training images on the
            device, in turn, each image with random draws of its own; see `KeyedAugmentation`.
        val_size: Share of the training images held out for validation, in [0, 1), stratified by class.
        split_seed: Seed of that split; not `seed`, so that runs with different seeds share it.
        **kwargs: See `ResumableDataModule`; `seed` is that of the augmentation, too.

    Raises:
        ValueError: If a size is impossible.
    """

    example_name = "image"
    native_shape: ImageShape
    class_names: tuple[str, ...]
    stratified = True
    """Whether parts are divided by class; False divides them blindly, as a domain whose labels must not be used."""

    def __init__(
        self,
        *,
        image_size: int | None = None,
        grayscale: bool = False,
        augmentation: list[Transform] | None = None,
        val_size: float = 0.1,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if image_size is not None:
            at_least(1, image_size=image_size)
        if not 0 <= val_size < 1:
            raise ValueError(f"val_size={val_size} is not a share of the training images: choose one in [0, 1)")
        self.image_size = image_size
        self.grayscale = grayscale
        self.augmentation = KeyedAugmentation(augmentation, self.seed) if augmentation else None
        self.val_size = val_size
        self.split_seed = split_seed

    @property
    def image_shape(self) -> ImageShape:
        """Shape of the images as the model gets them."""
        channels, height, width = self.native_shape
        side = self.image_size
        return ImageShape(1 if self.grayscale else channels, side or height, side or width)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The same; what techniques ask for that serve points as well."""
        return self.image_shape

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 if the images have no labels."""
        return len(self.class_names)

    def divide(self, label: Tensor, fraction: float, *streams: int, name: str) -> tuple[Tensor, Tensor]:
        """Divides images in two with `split_seed`, as `stratified_split` does, or blindly if not `stratified`.

        Args:
            label: int64 (N,), class of each.
            fraction: Share of the second part, in [0, 1).
            streams: Further keys of the draw.
            name: The setting that gave the share, for the error.

        Returns:
            Positions of the first and of the second part, int64, each in ascending order.

        Raises:
            ValueError: If a positive fraction leaves one of the parts empty.
        """
        groups = label if self.stratified else torch.zeros_like(label)
        return stratified_split(groups, fraction, self.split_seed, *streams, name=name)

    def on_after_batch_transfer(self, batch: AnyImageBatch, dataloader_idx: int) -> AnyImageBatch:
        """Makes float32 in [0, 1] of uint8, on the device; augments if it is a training batch.

        Args:
            batch: A batch with uint8 images.
            dataloader_idx: Not used.

        Returns:
            The batch with float32 images.
        """
        image = batch.image.float().div_(255)
        if self.augmentation is not None and self.trainer is not None and self.trainer.training:
            image = self.augmentation(image, batch.index, self._epoch())
        return batch._replace(image=image)

    def training_images(self, batch_size: int = 1000) -> Iterator[Tensor]:
        """Goes through the training images as `images_of` does."""
        return self.images_of("train", batch_size)

    def images_of(self, part: Part, batch_size: int = 1000) -> Iterator[Tensor]:
        """Goes through the images of a part once, in order and without augmentation.

        Args:
            part: "train", "val" or "test".
            batch_size: Images at a time.

        Yields:
            float32 (B, C, H, W) in [0, 1], on the CPU.
        """
        dataset = self.dataset(part)
        for start in range(0, len(dataset), batch_size):
            index = torch.arange(start, min(start + batch_size, len(dataset)))
            yield dataset.source.take(index).float().div_(255)
