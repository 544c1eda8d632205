"""Which patches of an image are read, and which are hidden."""

from typing import NamedTuple

import torch
from torch import Tensor

from networks.noise import Noise


class PatchMask(NamedTuple):
    """Places of patches, in the order in which they were drawn; each of the N patches is in one of the two.

    Attributes:
        kept: int64 (B, n), of those that are read.
        hidden: int64 (B, N - n), of those that are not.
    """

    kept: Tensor
    hidden: Tensor


def kept_count(patches: int, ratio: float) -> int:
    """Number of patches that are left if a share of them is hidden, rounded down.

    Args:
        patches: in the image, N.
        ratio: share that is hidden.

    Raises:
        ValueError: if the share leaves none, or hides none.
    """
    count = int(patches * (1 - ratio) + 1e-9)  # 1 - 0.9 is a little less than 0.1
    if not 1 <= count < patches:
        raise ValueError(f"mask_ratio is {ratio}: choose a share above 0 that leaves at least one of {patches} patches")
    return count


def random_mask(noise: Noise, patches: int, count: int) -> PatchMask:
    """Draw which patches of each image are read, all sets of that size being equally likely.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022), section 3, "Simple implementation".

    Args:
        noise: draws for each image by itself.
        patches: in the image, N.
        count: of those that are read, n.
    """
    order = noise.uniform(patches).argsort(1)  # (B, N)
    return PatchMask(order[:, :count], order[:, count:])


def at_places(x: Tensor, place: Tensor) -> Tensor:
    """Rows of sequences, (B, N, D) at int64 (B, n) -> (B, n, D)."""
    return torch.gather(x, 1, place.unsqueeze(2).expand(-1, -1, x.shape[2]))
