"""Objectives of classification, kept per example."""

import torch.nn.functional as F
from torch import Tensor

from objectives.precision import full_precision


@full_precision
def cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the predicted classes, in nats.

    Args:
        logits: (B, K).
        label: int64 (B,), in [0, K).
        smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016).

    Returns:
        (B,), -sum over k of t_k log softmax(logits)_k with t = (1 - smoothing) onehot(label) + smoothing / K.
    """
    return F.cross_entropy(logits, label, reduction="none", label_smoothing=smoothing)


def mixed_cross_entropy(
    logits: Tensor, label: Tensor, partner: Tensor, share: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of images that are each mixed of two, in nats.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (2018).

    Args:
        logits: (B, K), of the mixed images.
        label: int64 (B,), classes of the images before they were mixed.
        partner: int64 (B,), place of the image that each is mixed with.
        share: (B,), of an image's own class.
        smoothing: see `cross_entropy`.

    Returns:
        (B,), share * CE(label) + (1 - share) * CE(label of the partner).
    """
    own, others = cross_entropy(logits, label, smoothing), cross_entropy(logits, label[partner], smoothing)
    return share * own + (1 - share) * others


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Share of examples whose predicted class is right, in [0, 1], (B, K) and (B,) -> a scalar."""
    return (logits.argmax(1) == label).float().mean()
