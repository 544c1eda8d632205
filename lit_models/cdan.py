"""Conditional domain-adversarial training."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_models.adaptation import AdaptationTechnique, HeadFactory, domain_terms
from networks import domain_discriminator, reverse_gradient
from objectives import conditional_entropy, cross_entropy

_LARGEST_PRODUCT, _RANDOM_FEATURES = 4096, 1024  # of the paper, and of its authors' code


class CDANTerms(NamedTuple):
    """Terms of the loss, means over the batch; `domain_accuracy`, in [0, 1], is only reported."""

    total: Tensor
    classification: Tensor
    domain: Tensor
    domain_accuracy: Tensor


class CDAN(AdaptationTechnique):
    """DANN whose discriminator sees the features together with the predicted classes.

    So features are drawn together class by class. What it sees is the outer product of features f and predicted
    probabilities g, or where that is too large the randomised multilinear map (R_f f) * (R_g g) / sqrt(d), whose inner
    products are the same in the mean over R_f and R_g. As in the authors' code, no gradient goes through g.

    Source: Long et al., "Conditional Adversarial Domain Adaptation" (NeurIPS 2018), section 3.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        entropy: CDAN+E, in which examples that are predicted with certainty count for more, in proportion to
            1 + exp(-H) within their domain. These weights get no gradient; in the authors' code, a reversed one.
        random_features: d of the randomised map; 0 for the outer product. If not given, the paper's choice: the outer
            product as long as it has at most 4096 values, else 1024 random features.
        discriminator: makes the network from what it sees to the log-odds of the source, from its width and 1;
            `MLPHead` with one hidden layer of 100 units if not given.
        **kwargs: see `AdaptationTechnique`.

    Raises:
        ValueError: if the number of random features is negative.
    """

    of_feature: Tensor
    of_prediction: Tensor

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int,
        *,
        entropy: bool = False,
        random_features: int | None = None,
        discriminator: HeadFactory | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, num_classes, **kwargs)
        product = self.feature_dim * num_classes
        if random_features is None:
            random_features = 0 if product <= _LARGEST_PRODUCT else _RANDOM_FEATURES
        if random_features < 0:
            raise ValueError(f"random_features is {random_features}: choose 1 or more, or 0 for the outer product")
        self.entropy = entropy
        self.random_features = random_features
        if random_features:
            self.register_buffer("of_feature", torch.randn(self.feature_dim, random_features))
            self.register_buffer("of_prediction", torch.randn(num_classes, random_features))
        self.discriminator = (discriminator or domain_discriminator)(random_features or product, 1)

    def joint(self, feature: Tensor, logits: Tensor) -> Tensor:
        """What the discriminator sees of features, (B, D), and logits, (B, K): (B, D * K), or (B, random_features)."""
        prediction = logits.softmax(1).detach()
        if not self.random_features:
            return (feature.unsqueeze(2) * prediction.unsqueeze(1)).flatten(1)  # (B, D, 1) * (B, 1, K) -> (B, D * K)
        return (feature @ self.of_feature) * (prediction @ self.of_prediction) / math.sqrt(self.random_features)

    def certainty(self, logits: Tensor) -> Tensor:
        """Weights of examples of one domain, 1 + exp(-H), with a mean of 1 over all processes, (B, K) -> (B,)."""
        weight = 1 + (-conditional_entropy(logits.detach())).exp()
        return weight / self.mean_over_processes(weight.mean().view(1))

    def loss(self, batch: Any) -> CDANTerms:
        """Cross-entropy of the source's classes, and of the domains with the features' gradient reversed."""
        views = self.views(batch.source.x, batch.target.x)
        classification = cross_entropy(views.source_logits, batch.source.label).mean()
        seen = self.joint(reverse_gradient(views.feature, self.strength), views.logits)
        domain, domain_accuracy = domain_terms(self.discriminator(seen))
        if self.entropy:
            domain = domain * torch.cat([self.certainty(views.source_logits), self.certainty(views.target_logits)])
        return CDANTerms(classification + domain.mean(), classification, domain.mean(), domain_accuracy)
