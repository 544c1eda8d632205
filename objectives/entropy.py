"""How undecided a classifier is."""

from torch import Tensor

from objectives.precision import full_precision


@full_precision
def conditional_entropy(logits: Tensor) -> Tensor:
    """H(y | x) = -sum_k p_k log p_k of each example, the probabilities being the softmax of the logits.

    Source: Grandvalet and Bengio, "Semi-supervised Learning by Entropy Minimization" (2004), eq. 6.

    Args:
        logits: (B, K).

    Returns:
        (B,), in nats: from 0, decided, to log K.
    """
    log_probability = logits.log_softmax(1)
    return -(log_probability.exp() * log_probability).sum(1)
