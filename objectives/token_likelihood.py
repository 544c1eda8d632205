"""Likelihood of the tokens of sequences."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from objectives.precision import full_precision


class TokenLosses(NamedTuple):
    """Losses of each token, (B, T), in nats; zero where none was asked for.

    Attributes:
        smoothed: cross-entropy with the smoothed target, to be minimised.
        nll: negative log-likelihood, to be reported.
    """

    smoothed: Tensor
    nll: Tensor


@full_precision
def token_losses(logits: Tensor, target: Tensor, ignored: int, smoothing: float = 0.0) -> TokenLosses:
    """Cross-entropy of each token, with and without label smoothing.

    The smoothed target is 1 - smoothing on the token and smoothing / V on each of the vocabulary (Szegedy et al. 2016).

    Args:
        logits: (B, T, V).
        target: int64 (B, T), in [0, V).
        ignored: the target at places where nothing is asked.
        smoothing: share of the target that is spread evenly over the vocabulary.
    """
    rows = logits.flatten(0, 1)
    nll = F.cross_entropy(rows, target.flatten(), ignore_index=ignored, reduction="none").view_as(target)
    if smoothing == 0:
        return TokenLosses(nll, nll)
    # -log p_y = logsumexp(a) - a_y, and its mean over the vocabulary logsumexp(a) - mean(a)
    even = (logits.logsumexp(-1) - logits.mean(-1)).masked_fill(target == ignored, 0.0)
    return TokenLosses((1 - smoothing) * nll + smoothing * even, nll)
