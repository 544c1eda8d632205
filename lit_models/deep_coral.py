"""Deep correlation alignment."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lit_models.alignment import AlignmentTechnique, Layer
from objectives import coral


class DeepCORAL(AlignmentTechnique):
    """Logits, and if wanted features, whose covariances in both domains are alike.

    Source: Sun and Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation" (2016), equations 1 and 6.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        layers: see `AlignmentTechnique`; the paper adapts the last one, the logits.
        **kwargs: see `AdaptationTechnique`.
    """

    def __init__(
        self, data_shape: Sequence[int], num_classes: int, *, layers: Sequence[Layer] = ("logits",), **kwargs: Any
    ) -> None:
        super().__init__(data_shape, num_classes, layers=layers, **kwargs)

    def distance(self, source: Tensor, target: Tensor) -> Tensor:
        """Squared Frobenius distance of the covariances of two samples, over 4 D^2."""
        return coral(source, target)
