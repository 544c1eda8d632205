"""Error of patches that a model had to guess."""

import torch
from torch import Tensor

from objectives.precision import full_precision

_EPSILON = 1e-6  # of a patch's variance, so that an even patch becomes zeros; as in the paper's code


@full_precision
def normalised_patches(patch: Tensor) -> Tensor:
    """Each patch without its mean, divided by its standard deviation.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022), section 3, "Reconstruction target".

    Args:
        patch: (B, N, D).

    Returns:
        (B, N, D); zeros for a patch whose values are all equal.
    """
    variance, mean = torch.var_mean(patch, 2, keepdim=True)
    return (patch - mean) / (variance + _EPSILON).sqrt()


@full_precision
def masked_patch_error(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error of each image over the values of its hidden patches alone.

    Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022), section 3, "Reconstruction target".

    Args:
        prediction: (B, N, D), of all patches.
        target: (B, N, D).
        hidden: int64 (B, M), places of the patches that count.

    Returns:
        (B,).
    """
    error = (prediction - target).square().mean(2)  # (B, N)
    return error.gather(1, hidden).mean(1)
