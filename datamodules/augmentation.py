"""Augmentation whose outcome belongs to the example, not to the batch that it happens to be in."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from datamodules.seeding import derive_seed


class KeyedAugmentation:
    """Applies transforms to each image under a seed made from (seed, epoch, index).

    A `torchvision.transforms.v2` transform that is given a batch draws its random numbers once and treats all images
    alike: one crop, one flip for all of them. So the transforms run image by image. And because each image has its own
    seed, what happens to it depends neither on the batch, the processes or the workers around it, nor on what was drawn
    before: a resumed run sees the very images that the uninterrupted one would have seen.

    The transforms must draw from torch's global generators, as all of torchvision's do. Those are set for the purpose
    and put back afterwards. On a GPU the images stay there, but their indices are copied to the host, which waits.

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
            ValueError: If the transforms change the shape of an image.
        """
        cuda = [image.device] if image.device.type == "cuda" else []
        augmented = []
        with torch.random.fork_rng(devices=cuda):
            for one, position in zip(image, index.tolist(), strict=True):
                key = derive_seed(self.seed, epoch, position)
                torch.default_generator.manual_seed(key)
                if cuda:
                    with torch.cuda.device(image.device):
                        torch.cuda.manual_seed(key)
                augmented.append(self.transforms(one))
        if any(one.shape != image.shape[1:] for one in augmented):
            shapes = sorted({tuple(one.shape) for one in augmented})
            raise ValueError(
                f"augmentation turns images of shape {tuple(image.shape[1:])} into {', '.join(map(str, shapes))}: "
                "let its transforms keep the shape, or set image_size"
            )
        return torch.stack(augmented)
