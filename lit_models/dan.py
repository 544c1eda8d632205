"""The deep adaptation network."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lit_models.alignment import AlignmentTechnique, Layer
from objectives import BANDWIDTHS, Estimator, mmd


class DAN(AlignmentTechnique):
    """Features and logits whose distributions in both domains are alike, by their maximum mean discrepancy (MMD).

    The kernel is a sum of Gaussians of several widths, so that some suit the features at every moment of training. The
    paper also learns the weights of that sum; here they are equal.

    Source: Long et al., "Learning Transferable Features with Deep Adaptation Networks" (ICML 2015), equation 4.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        layers: see `AlignmentTechnique`.
        estimator: of the MMD, see `mmd`; `linear` is the paper's.
        bandwidths: of the Gaussians, as multiples of the mean squared distance between two examples of the batch.
        **kwargs: see `AdaptationTechnique`.

    Raises:
        ValueError: if there is no bandwidth, or one that is not positive.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int,
        *,
        layers: Sequence[Layer] = ("feature", "logits"),
        estimator: Estimator = "biased",
        bandwidths: Sequence[float] = BANDWIDTHS,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, num_classes, layers=layers, **kwargs)
        if not bandwidths or min(bandwidths) <= 0:
            raise ValueError(f"bandwidths is {list(bandwidths)}: give at least one, all above 0")
        self.estimator: Estimator = estimator
        self.bandwidths = tuple(bandwidths)

    def distance(self, source: Tensor, target: Tensor) -> Tensor:
        """Squared MMD of two samples."""
        return mmd(source, target, self.bandwidths, self.estimator)
