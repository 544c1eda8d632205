"""Perplexity of a text under a model."""

from torch import Tensor

from metrics.example_mean import ExampleMean


class Perplexity(ExampleMean):
    """Exponential of the mean negative log-likelihood of all tokens, from means over batches in nats a token."""

    def compute(self) -> Tensor:
        """The perplexity, a scalar, at least 1: as many tokens, equally likely, would be as hard to tell."""
        return super().compute().exp()
