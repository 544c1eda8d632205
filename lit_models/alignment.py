"""What techniques share that bring two distributions of features together by a distance between samples."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from torch import Tensor

from lit_models.adaptation import AdaptationTechnique
from objectives import cross_entropy

Layer = Literal["feature", "logits"]


class AlignmentTerms(NamedTuple):
    """Terms of the loss; `distance` is the sum over the adapted layers, without its weight."""

    total: Tensor
    classification: Tensor
    distance: Tensor


class AlignmentTechnique(AdaptationTechnique):
    """The source's cross-entropy, and lambda times a distance between the domains in each adapted layer.

    A distance between samples is no mean over examples, so it is of the batches of all processes together.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        layers: what is adapted, `feature` for what the extractor gives and `logits` for what the classifier gives.
        **kwargs: see `AdaptationTechnique`.

    Raises:
        ValueError: if no layer is adapted, or one that there is not.
    """

    def __init__(self, data_shape: Sequence[int], num_classes: int, *, layers: Sequence[Layer], **kwargs: Any) -> None:
        super().__init__(data_shape, num_classes, **kwargs)
        if not layers or not {*layers} <= {"feature", "logits"} or len({*layers}) < len(layers):
            raise ValueError(f"layers is {list(layers)}: choose feature, logits or both")
        self.layers = tuple(layers)

    @abstractmethod
    def distance(self, source: Tensor, target: Tensor) -> Tensor:
        """Distance between the distributions that two samples are of, (N, D) and (N, D) -> a scalar."""

    def loss(self, batch: Any) -> AlignmentTerms:
        """Cross-entropy of the source's classes, and the distances between the domains."""
        views = self.views(batch.source.x, batch.target.x)
        classification = cross_entropy(views.source_logits, batch.source.label).mean()
        distance = classification.new_zeros(())
        for layer in self.layers:
            source, target = getattr(views, layer).chunk(2)
            distance = distance + self.distance(self.gather(source), self.gather(target))
        return AlignmentTerms(classification + self.strength * distance, classification, distance)
