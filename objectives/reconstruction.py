"""Reconstruction errors of images, summed over the values of an image and kept per image."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from objectives.precision import full_precision


@full_precision
def squared_error(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Squared error summed over each image.

    Args:
        reconstruction: (B, C, H, W).
        image: (B, C, H, W).

    Returns:
        (B,), sum over C * H * W of (reconstruction - image)^2.
    """
    return (reconstruction - image).square().flatten(1).sum(1)


@full_precision
def binary_cross_entropy(logits: Tensor, image: Tensor) -> Tensor:
    """Bernoulli cross-entropy summed over each image, in nats.

    On grey levels strictly between 0 and 1 this is a loss, not the likelihood of anything: its
    minimum is the entropy of the image, and it is not comparable with values on binarised images.

    Args:
        logits: (B, C, H, W), log-odds of a pixel being 1.
        image: (B, C, H, W) in [0, 1].

    Returns:
        (B,), sum over C * H * W of -x log p - (1 - x) log(1 - p).
    """
    value: Tensor = _CrossEntropy.apply(logits, image)
    return value.flatten(1).sum(1)


class _CrossEntropy(torch.autograd.Function):
    """softplus(l) - x l of each value, in fewer passes over the images than torch's own function takes.

    The derivatives are sigmoid(l) - x by the log-odds l, and -l by the image x.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, image: Tensor) -> Tensor:
        ctx.save_for_backward(logits, image)
        return F.softplus(logits).addcmul_(image, logits, value=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, image = ctx.saved_tensors
        by_logits, by_image = ctx.needs_input_grad
        return (
            torch.sigmoid(logits).sub_(image).mul_(gradient) if by_logits else None,
            -logits * gradient if by_image else None,
        )


@full_precision
def gaussian_nll(mean: Tensor, image: Tensor, logvar: Tensor) -> Tensor:
    """Negative log density of an isotropic Gaussian, summed over each image, in nats.

    Args:
        mean: (B, C, H, W).
        image: (B, C, H, W).
        logvar: log variance, broadcastable to the image; a scalar for one shared noise level.

    Returns:
        (B,), sum over C * H * W of (log 2 pi + logvar + (x - mean)^2 / var) / 2.
    """
    error = (image - mean).square() * torch.exp(-logvar)
    return 0.5 * (math.log(2 * math.pi) + logvar + error).flatten(1).sum(1)


@full_precision
def psnr(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, for a peak value of 1.

    Args:
        reconstruction: (B, C, H, W).
        image: (B, C, H, W) in [0, 1].

    Returns:
        (B,), -10 log10 of the mean squared error; at most 100 dB, which stands for a perfect copy.
    """
    mse = (reconstruction - image).square().flatten(1).mean(1)
    return -10 * torch.log10(mse.clamp_min(1e-10))
