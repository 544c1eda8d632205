"""Domain-adversarial training."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from lit_models.adaptation import AdaptationTechnique, HeadFactory, domain_terms
from networks import domain_discriminator, reverse_gradient
from objectives import cross_entropy


class DANNTerms(NamedTuple):
    """Terms of the loss, means over the batch; `domain_accuracy`, in [0, 1], is only reported."""

    total: Tensor
    classification: Tensor
    domain: Tensor
    domain_accuracy: Tensor


class DANN(AdaptationTechnique):
    """Features from which classes can be told and domains cannot, by a discriminator whose gradient is reversed.

    The discriminator learns to tell the domains apart. The features get its gradient times -lambda, so they learn to
    hide what it goes by.

    Source: Ganin et al., "Domain-Adversarial Training of Neural Networks" (JMLR 2016), equation 9 and section 4.2.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        discriminator: makes the network from features to the log-odds of the source, from D and 1; `MLPHead` with one
            hidden layer of 100 units if not given.
        **kwargs: see `AdaptationTechnique`.
    """

    def __init__(
        self, data_shape: Sequence[int], num_classes: int, *, discriminator: HeadFactory | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_shape, num_classes, **kwargs)
        self.discriminator = (discriminator or domain_discriminator)(self.feature_dim, 1)

    def loss(self, batch: Any) -> DANNTerms:
        """Cross-entropy of the source's classes, and of the domains with the features' gradient reversed."""
        views = self.views(batch.source.x, batch.target.x)
        classification = cross_entropy(views.source_logits, batch.source.label).mean()
        log_odds = self.discriminator(reverse_gradient(views.feature, self.strength))  # (2B, 1)
        domain, domain_accuracy = domain_terms(log_odds)
        return DANNTerms(classification + domain.mean(), classification, domain.mean(), domain_accuracy)
