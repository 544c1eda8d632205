"""The deep reconstruction-classification network."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from lit_models.adaptation import DomainAdaptation
from lit_models.single_loss import SingleLossTechnique
from networks import Corruption, GaussianCorruption, domain_decoder
from objectives import cross_entropy, squared_error

ExampleDecoderFactory = Callable[[int, Sequence[int]], nn.Module]


class DRCNTerms(NamedTuple):
    """Terms of the loss, means over the batch; `reconstruction` is the mean squared error of a value."""

    total: Tensor
    classification: Tensor
    reconstruction: Tensor


class DRCN(DomainAdaptation, SingleLossTechnique):
    """One encoder from which the source's classes are told, and the target is reconstructed.

    The target is seen corrupted and given back clean, as by a denoising autoencoder. The paper takes turns, an epoch of
    one objective and then one of the other; here each step has the weighted sum of both, its equation for what they
    minimise together.

    Source: Ghifary et al., "Deep Reconstruction-Classification Networks for Unsupervised Domain Adaptation" (ECCV
    2016), section 3.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        decoder: makes the network from features to examples, (B, D) -> (B, *data_shape), from D and the shape of the
            data; `ConvDecoder` for images and `MLPDecoder` for points if not given.
        corruption: of the target that the encoder sees; Gaussian noise of sigma 0.25 if not given.
        supervised_share: lambda, weight of the source's classes; the reconstruction of the target has the rest.
        **kwargs: see `DomainAdaptation` and `SingleLossTechnique`.

    Raises:
        ValueError: if the share is not in (0, 1].
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int,
        *,
        decoder: ExampleDecoderFactory | None = None,
        corruption: Corruption | None = None,
        supervised_share: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, num_classes, **kwargs)
        if not 0 < supervised_share <= 1:
            raise ValueError(f"supervised_share is {supervised_share}: give a share in (0, 1]")
        self.decoder = (decoder or domain_decoder)(self.feature_dim, self.data_shape)
        self.corruption = corruption or GaussianCorruption(0.25)
        self.supervised_share = supervised_share

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the decoder makes of examples, as if they were the target's; of images, clipped to [0, 1].

        Examples of the source come out in the manner of the target.
        """
        return bounded(self.decoder(self.embed(x)))

    def loss(self, batch: Any) -> DRCNTerms:
        """Cross-entropy of the source's classes, and error of the target's reconstruction."""
        noisy = self.corruption(batch.target.x, self.noise(batch.target))
        views = self.views(batch.source.x, noisy)
        classification = cross_entropy(views.source_logits, batch.source.label).mean()
        error = squared_error(self.decoder(views.features[1]), batch.target.x)  # (B,)
        reconstruction = error.mean() / batch.target.x[0].numel()
        total = self.supervised_share * classification + (1 - self.supervised_share) * reconstruction
        return DRCNTerms(total, classification, reconstruction)


def bounded(x: Tensor) -> Tensor:
    """Images clipped to [0, 1], points as they are; float32."""
    return x.float().clamp(0, 1) if x.ndim == 4 else x.float()
