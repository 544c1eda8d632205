"""Augmentation whose outcome belongs to the example, not to the batch that it happens to be in."""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import Transform

from datamodules.seeding import derive_seed, keyed_uniform


class BatchTransform(Transform):  # type: ignore[misc]  # torchvision has no types
    """A transform of whole batches, in which every image has random numbers of its own.

    A subclass implements `change`, and says how many random numbers it needs for an image. Called as torchvision's
    transforms are, it draws them from torch's global generator.
    """

    draws: int

    @abstractmethod
    def change(self, image: Tensor, draw: Tensor) -> Tensor:
        """Changes images.

        Args:
            image: float (B, C, H, W) in [0, 1].
            draw: float64 (B, draws) in [0, 1). What becomes of an image must depend on its own row alone.

        Returns:
            A new tensor, float (B, C, H, W).
        """

    def forward(self, image: Tensor) -> Tensor:
        """Changes images (..., C, H, W)."""
        batch = image.reshape(-1, *image.shape[-3:])
        draw = torch.rand(len(batch), self.draws, dtype=torch.float64, device=image.device)
        return self.change(batch, draw).view(image.shape)


class KeyedAugmentation:
    """Applies transforms to each image with random numbers made from (seed, epoch, index).

    What happens to an image depends neither on the batch, the processes or the workers around it, nor on what was drawn
    before: a resumed run sees the very images that the uninterrupted one would have seen.

    A `BatchTransform` is applied to the whole batch. Any other `torchvision.transforms.v2` transform that is given a
    batch draws its random numbers once and treats all images alike: one crop, one flip for all of them. So those run
    image by image, each image under a seed of its own. They must draw from torch's global generators, as all of
    torchvision's do. Those are set for the purpose and put back afterwards. On a GPU the images stay there, but their
    indices are copied to the host, which waits.

    Args:
        transforms: Modules that map float (C, H, W) to the same shape, applied in turn.
        seed: Seed of the run.
    """

    def __init__(self, transforms: Sequence[nn.Module], seed: int) -> None:
        self.transforms = nn.Sequential(*transforms)
        self.seed = seed

    def __call__(self, image: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Augments one batch.

        Args:
            image: float (B, C, H, W).
            index: int64 (B,), position of each image in its part of the data.
            epoch: Number of the epoch, from 0.

        Returns:
            A new tensor, float (B, C, H, W).

        Raises:
            ValueError: If the transforms change the shape of an image, or one is not for such images.
        """
        by_kind = groupby(enumerate(self.transforms), lambda item: isinstance(item[1], BatchTransform))
        for of_batches, stage in by_kind:
            places, transforms = zip(*stage, strict=True)
            if of_batches:
                for place, transform in zip(places, transforms, strict=True):
                    image = transform.change(image, keyed_uniform(index, transform.draws, self.seed, epoch, place))
            else:
                image = self._one_by_one(nn.Sequential(*transforms), image, index, epoch, places[0])
        return image

    def _one_by_one(self, transforms: nn.Module, image: Tensor, index: Tensor, epoch: int, place: int) -> Tensor:
        cuda = [image.device] if image.device.type == "cuda" else []
        augmented = []
        with torch.random.fork_rng(devices=cuda):
            for one, position in zip(image, index.tolist(), strict=True):
                key = derive_seed(self.seed, epoch, position, *([place] if place else []))
                torch.default_generator.manual_seed(key)
                if cuda:
                    with torch.cuda.device(image.device):
                        torch.cuda.manual_seed(key)
                augmented.append(transforms(one))
        if any(one.shape != image.shape[1:] for one in augmented):
            shapes = sorted({tuple(one.shape) for one in augmented})
            raise ValueError(
                f"augmentation turns images of shape {tuple(image.shape[1:])} into {', '.join(map(str, shapes))}: "
                "let its transforms keep the shape, or set image_size"
            )
        return torch.stack(augmented)
