"""How far two classifiers disagree."""

from torch import Tensor

from objectives.precision import full_precision


@full_precision
def discrepancy(logits1: Tensor, logits2: Tensor) -> Tensor:
    """E mean_k |p1_k - p2_k|, the probabilities being the softmaxes of the logits.

    Source: Saito et al., "Maximum Classifier Discrepancy for Unsupervised Domain Adaptation" (2018), section 3.

    Args:
        logits1: of the first classifier, (B, K).
        logits2: of the second classifier for the same examples, (B, K).

    Returns:
        A scalar in [0, 2 / K].
    """
    return (logits1.softmax(1) - logits2.softmax(1)).abs().mean()
