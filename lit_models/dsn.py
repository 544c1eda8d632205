"""Domain separation networks."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lit_models.adaptation import (
    AdaptationTechnique,
    FeaturesFactory,
    HeadFactory,
    Views,
    domain_terms,
)
from lit_models.drcn import ExampleDecoderFactory, bounded
from networks import default_features, domain_decoder, domain_discriminator, reverse_gradient, width_of
from objectives import cross_entropy, difference, mmd, scale_invariant_error, squared_error


class DSNTerms(NamedTuple):
    """Terms of the loss without their weights; `similarity` is the domains' cross-entropy, or their MMD."""

    total: Tensor
    classification: Tensor
    reconstruction: Tensor
    difference: Tensor
    similarity: Tensor


class DSN(AdaptationTechnique):
    """A code that both domains share beside one that each has for itself; together they give back the example.

    Classes are told from the shared code h_c alone. It is alike in both domains, and orthogonal to the private h_p,
    which leaves h_p what tells the domains apart. One decoder reconstructs both domains from h_c + h_p. The paper
    switches the similarity on after 10,000 steps; here its weight rises from the first.

    Source: Bousmalis et al., "Domain Separation Networks" (NeurIPS 2016), equations 1 to 7.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        extractor: makes the shared encoder; see `DomainAdaptation`.
        private_extractor: makes each private encoder; as `extractor` if not given.
        decoder: see `DRCN`.
        similarity: what makes the shared codes alike: ``dann``, a discriminator whose gradient is reversed, or ``mmd``.
        discriminator: see `DANN`.
        reconstruction: ``scale_invariant``, or ``mse``, the mean squared error of a value, which points need.
        reconstruction_weight: alpha.
        difference_weight: beta, of the orthogonality.
        weight: gamma, of the similarity, at the end of training; with ``dann`` it is that of the reversed gradient.
        **kwargs: see `AdaptationTechnique`.

    Raises:
        ValueError: if a choice does not exist, a weight is negative, or the codes have not the same width.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int,
        *,
        extractor: FeaturesFactory | None = None,
        private_extractor: FeaturesFactory | None = None,
        decoder: ExampleDecoderFactory | None = None,
        similarity: Literal["dann", "mmd"] = "dann",
        discriminator: HeadFactory | None = None,
        reconstruction: Literal["scale_invariant", "mse"] = "scale_invariant",
        reconstruction_weight: float = 0.1,
        difference_weight: float = 0.05,
        weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, num_classes, extractor=extractor, weight=weight, **kwargs)
        if similarity not in ("dann", "mmd"):
            raise ValueError(f"similarity is {similarity!r}: choose dann or mmd")
        if reconstruction not in ("scale_invariant", "mse"):
            raise ValueError(f"reconstruction is {reconstruction!r}: choose scale_invariant or mse")
        if similarity == "mmd" and discriminator is not None:
            raise ValueError("similarity is 'mmd': it has no discriminator, leave it out")
        weights = {"reconstruction_weight": reconstruction_weight, "difference_weight": difference_weight}
        for name, value in weights.items():
            if value < 0:
                raise ValueError(f"{name} is {value}: choose 0 or more")
        make = private_extractor or extractor or default_features
        self.private_source, self.private_target = make(self.data_shape), make(self.data_shape)
        if (width := width_of(self.private_source, self.data_shape)) != self.feature_dim:
            raise ValueError(
                f"private_extractor gives {width} features and extractor {self.feature_dim}: they are added, make them "
                "equally many"
            )
        self.decoder = (decoder or domain_decoder)(self.feature_dim, self.data_shape)
        self.similarity = similarity
        if similarity == "dann":
            self.discriminator = (discriminator or domain_discriminator)(self.feature_dim, 1)
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight
        self.difference_weight = difference_weight

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the decoder makes of examples of the target; of images, clipped to [0, 1]."""
        return bounded(self.decoder(self.embed(x) + self.private_target(x)))

    def loss(self, batch: Any) -> DSNTerms:
        """Cross-entropy of the source's classes, reconstruction of both domains, and what parts and joins the codes."""
        views = self.views(batch.source.x, batch.target.x)
        classification = cross_entropy(views.source_logits, batch.source.label).mean()
        private = torch.cat([self.private_source(batch.source.x), self.private_target(batch.target.x)])  # (2B, D)
        reconstruction = self.reconstruction_error(
            self.decoder(views.feature + private), torch.cat([batch.source.x, batch.target.x])
        )
        parted = [
            difference(self.gather(shared), self.gather(own))
            for shared, own in zip(views.features, private.chunk(2), strict=True)
        ]
        apart = parted[0] + parted[1]
        similarity = self.similarity_loss(views)
        weighted = similarity if self.similarity == "dann" else self.strength * similarity
        total = classification + self.reconstruction_weight * reconstruction + self.difference_weight * apart + weighted
        return DSNTerms(total, classification, reconstruction, apart, similarity)

    def reconstruction_error(self, reconstruction: Tensor, x: Tensor) -> Tensor:
        """Sum of both domains' mean errors, (2B, *data_shape) twice -> a scalar."""
        if self.reconstruction == "scale_invariant":
            return 2 * scale_invariant_error(reconstruction, x).mean()
        return 2 * squared_error(reconstruction, x).mean() / x[0].numel()

    def similarity_loss(self, views: Views) -> Tensor:
        """The MMD of the shared codes, or the domains' cross-entropy, whose gradient they get times -lambda."""
        if self.similarity == "mmd":
            source, target = views.features
            return mmd(self.gather(source), self.gather(target))
        log_odds = self.discriminator(reverse_gradient(views.feature, self.strength))  # (2B, 1)
        return domain_terms(log_odds)[0].mean()
