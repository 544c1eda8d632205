"""What adaptation is measured against: training on the source alone, and on the target's labels."""

from typing import Any

from lit_models.adaptation import DomainAdaptation
from lit_models.classifier import ClassifierTerms, classification_terms
from lit_models.single_loss import SingleLossTechnique


class SourceOnly(DomainAdaptation, SingleLossTechnique):
    """A classifier that is trained on the source alone, and applied to the target as it is.

    With `domain_statistics` it is adapted by batch normalisation: both domains pass through the network, each
    normalised by its own statistics, and only the source's labels are learned from.

    Source of that: Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation" (2016).

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        **kwargs: see `DomainAdaptation` and `SingleLossTechnique`.
    """

    def loss(self, batch: Any) -> ClassifierTerms:
        """Cross-entropy of the source's classes."""
        source, target = batch.source, batch.target
        logits = self.views(source.x, target.x).source_logits if self.domain_statistics else self(source.x)
        return classification_terms(logits, source.label)


class TargetOnly(DomainAdaptation, SingleLossTechnique):
    """A classifier that is trained on the target with its labels: what adaptation could reach at best.

    It needs data that hand those labels over, `OracleDomainPair`.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        **kwargs: see `DomainAdaptation` and `SingleLossTechnique`.
    """

    def loss(self, batch: Any) -> ClassifierTerms:
        """Cross-entropy of the target's classes.

        Raises:
            ValueError: if the batch has no labels of the target.
        """
        if not hasattr(batch.target, "label"):
            raise ValueError(
                "data is DomainPair: TargetOnly learns from the target's labels, which only OracleDomainPair has"
            )
        return classification_terms(self(batch.target.x), batch.target.label)
