"""Maximum classifier discrepancy."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam

from lit_models.adaptation import DomainAdaptation, HeadFactory
from lit_models.alternating import AlternatingTechnique, Player, Terms
from lit_models.base import OptimizerFactory, SchedulerFactory
from networks import MLPHead
from objectives import cross_entropy, discrepancy


class TwoLogits(NamedTuple):
    """Logits of the two heads, (B, K) each."""

    first: Tensor
    second: Tensor


class MCD(DomainAdaptation, AlternatingTechnique):
    """Two heads that look for examples of the target on which they differ, and features that leave them none.

    Where the heads differ, the target lies outside of what the source has taught them. In each batch
    (A) the extractor and the heads learn the classes of the source,
    (B) the heads learn them still, and to differ on the target, while the features stay, and
    (C) the extractor learns features on which these heads agree, in several steps.

    Predictions are those of the mean of both heads' logits, and so of their sum. The adaptation has no weight.
    Lightning's `max_steps` and the schedules count batches.

    Source: Saito et al., "Maximum Classifier Discrepancy for Unsupervised Domain Adaptation" (CVPR 2018), section 3.3,
    equations 5 to 9, with the discrepancy of equation 2.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        classifier: makes each head, with other initial weights; see `DomainAdaptation`.
        steps: of the extractor against the heads in a batch, n in the paper.
        gradient_clip: largest norm of the gradient of the extractor, and of both heads together; none if not given.
        accumulate: parts that a batch is computed in one after another, for batches that need too much memory. Batch
            normalisation sees one part at a time.
        extractor_optimizer: makes the extractor's optimizer; Adam with rate 2e-4 and weight decay 5e-4 if not given.
        classifier_optimizer: makes the heads' optimizer; the same if not given.
        extractor_scheduler: makes a learning-rate scheduler for the extractor's optimizer.
        classifier_scheduler: the same for the heads'.
        **kwargs: see `DomainAdaptation`.

    Raises:
        ValueError: if the extractor is to take no step.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int,
        *,
        classifier: HeadFactory | None = None,
        steps: int = 4,
        gradient_clip: float | None = None,
        accumulate: int = 1,
        extractor_optimizer: OptimizerFactory | None = None,
        classifier_optimizer: OptimizerFactory | None = None,
        extractor_scheduler: SchedulerFactory | None = None,
        classifier_scheduler: SchedulerFactory | None = None,
        **kwargs: Any,
    ) -> None:
        heads = ("classifier", "second_classifier")
        super().__init__(
            data_shape,
            num_classes,
            classifier=classifier,
            players={
                "extractor": Player(extractor_optimizer or _adam, extractor_scheduler),
                "classifier": Player(classifier_optimizer or _adam, classifier_scheduler, networks=heads),
            },
            gradient_clip=gradient_clip,
            accumulate=accumulate,
            **kwargs,
        )
        if steps < 1:
            raise ValueError(f"steps is {steps}: the features adapt in 1 or more")
        self.steps = steps
        self.second_classifier = (classifier or MLPHead)(self.feature_dim, num_classes)
        self.keep_apart(self.second_classifier)
        normalised = any(isinstance(layer, _BatchNorm) for layer in self.modules())
        self._domains_mix = normalised and not self.domain_statistics  # in the statistics of a batch

    def logits(self, feature: Tensor) -> Tensor:
        """Mean of both heads' logits, (B, D) -> (B, K)."""
        return torch.stack(self.both_logits(feature)).mean(0)

    def both_logits(self, feature: Tensor) -> TwoLogits:
        """Logits of each head, (B, D) -> 2 x (B, K)."""
        return TwoLogits(self.classifier(feature), self.second_classifier(feature))

    def source_terms(self, batch: Any) -> Terms:
        """(A) Cross-entropy of both heads on the source."""
        source, _ = self._of_domains(batch)
        return {"classification_loss": _classification(source, batch.source.label)}

    def classifier_terms(self, batch: Any) -> Terms:
        """(B) Cross-entropy on the source, less how much the heads differ on the target."""
        source, target = self._of_domains(batch)
        classification, difference = _classification(source, batch.source.label), discrepancy(*target)
        return {"classifier_loss": classification - difference, "discrepancy": difference}

    def extractor_terms(self, batch: Any) -> Terms:
        """(C) How much the heads differ on the target."""
        return {"extractor_loss": discrepancy(*self._of_target(batch))}

    def training_step(self, batch: Any, batch_idx: int) -> Terms:
        """A step of all, one of the heads, and `steps` of the extractor."""
        parts = self.parts(batch)
        shares = [len(part.source.x) / len(batch.source.x) for part in parts]
        inputs = [(part,) for part in parts]
        terms = self.turn(("extractor", "classifier"), self.source_terms, inputs, shares, counted=False)
        terms |= self.turn("classifier", self.classifier_terms, inputs, shares)
        for step in range(1, self.steps + 1):
            terms |= self.turn("extractor", self.extractor_terms, inputs, shares, counted=step == self.steps)
        self.batch_step += 1
        self.log_training(terms)
        return {name: value for name, value in terms.items() if name.endswith("_loss")}

    def _of_domains(self, batch: Any) -> tuple[TwoLogits, TwoLogits]:
        """Logits of the source and of the target, both seen in one forward pass."""
        first, second = self.both_logits(self.extractor(torch.cat([batch.source.x, batch.target.x])))
        (first_source, first_target), (second_source, second_target) = first.chunk(2), second.chunk(2)
        return TwoLogits(first_source, second_source), TwoLogits(first_target, second_target)

    def _of_target(self, batch: Any) -> TwoLogits:
        """Logits of the target; the source is passed through the networks only where batch normalisation mixes both."""
        if self._domains_mix:
            return self._of_domains(batch)[1]
        with self._at("target"):
            return self.both_logits(self.extractor(batch.target.x))


def _classification(logits: TwoLogits, label: Tensor) -> Tensor:
    return cross_entropy(logits.first, label).mean() + cross_entropy(logits.second, label).mean()


def _adam(parameters: Iterable[nn.Parameter]) -> Adam:
    """As in section 4.2 of the paper."""
    return Adam(parameters, lr=2e-4, weight_decay=5e-4)
