"""What the techniques of unsupervised domain adaptation share: two domains, of which one has labels."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lit_models.base import PretrainedPart, Technique
from lit_models.schedules import finite_length
from lit_models.single_loss import SingleLossTechnique
from metrics import (
    BatchNuclearNorm,
    ClassAMI,
    DeepEmbeddedValidation,
    Domain,
    InformationMaximisation,
    PredictionEntropy,
    ProxyADistance,
)
from networks import (
    ImageShape,
    Interface,
    MLPHead,
    at_domain,
    data_input,
    default_features,
    width_of,
    with_domain_statistics,
)
from objectives import accuracy, binary_cross_entropy, cross_entropy

FeaturesFactory = Callable[[Sequence[int]], nn.Module]
HeadFactory = Callable[[int, int], nn.Module]
Stage = Literal["val", "test"]


class Views(NamedTuple):
    """Both domains, seen by the networks in one forward pass; the first half of the rows is the source.

    Attributes:
        feature: (2B, D).
        logits: (2B, K).
    """

    feature: Tensor
    logits: Tensor

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        """Features of the source and of the target, (B, D) each."""
        source, target = self.feature.chunk(2)
        return source, target

    @property
    def source_logits(self) -> Tensor:
        """(B, K)."""
        return self.logits.chunk(2)[0]

    @property
    def target_logits(self) -> Tensor:
        """(B, K)."""
        return self.logits.chunk(2)[1]


class DomainAdaptation(Technique):
    """A classifier for a target domain without labels, by means of a source domain with labels.

    Training batches have a labelled part `source` and an unlabelled part `target` of the same size, validation has
    labels of the source only, and labels of the target are met in `test` alone. Networks see both domains in one
    forward pass, so batch normalisation sees their mixture, unless `domain_statistics` keeps them apart.

    Args:
        data_shape: of one example, (C, H, W) or (D,); the CLI takes it from the data.
        num_classes: number of classes, K; the CLI takes it from the data.
        extractor: makes the network of features, (B, *data_shape) -> (B, D), from the shape of the data; `ConvFeatures`
            for images and `MLPFeatures` for points if not given.
        classifier: makes the network from features to logits from D and K; `MLPHead` if not given.
        domain_statistics: normalise each domain by its own batch statistics, in training and in evaluation, as in Li
            et al., "Revisiting Batch Normalization For Practical Domain Adaptation" (2016).
        optimization: see `SingleLossTechnique` or `AlternatingTechnique`.

    Attributes:
        domains: their names, in the order of the data's loaders.

    Raises:
        ValueError: if there are no classes.
    """

    pretrained_part: ClassVar[PretrainedPart | None] = PretrainedPart("extractor", headless=True)
    domains: tuple[Domain, Domain] = ("source", "target")

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int,
        *,
        extractor: FeaturesFactory | None = None,
        classifier: HeadFactory | None = None,
        domain_statistics: bool = False,
        **optimization: Any,
    ) -> None:
        super().__init__(**optimization)
        if num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}: the source needs labels of two or more classes")
        self.data_shape = ImageShape(*data_shape) if len(data_shape) == 3 else tuple(data_shape)
        self.num_classes = num_classes
        self.domain_statistics = domain_statistics
        self.extractor = (extractor or default_features)(self.data_shape)
        self.feature_dim = width_of(self.extractor, self.data_shape)
        self.classifier = (classifier or MLPHead)(self.feature_dim, num_classes)
        self.keep_apart(self.extractor)
        self.keep_apart(self.classifier)
        self._information_maximisation = InformationMaximisation()
        self._bnm = BatchNuclearNorm()
        self._entropy = PredictionEntropy()
        self._class_ami = ClassAMI()
        self._dev = DeepEmbeddedValidation()
        self._a_distance = ProxyADistance()

    def keep_apart(self, network: nn.Module) -> None:
        """Let a network that sees both domains normalise each by its own statistics, if they are to be kept apart."""
        if self.domain_statistics:
            at_domain(with_domain_statistics(network), "both")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes for examples of the target, (B, *data_shape) -> (B, K)."""
        with self._at("target"):
            return self.logits(self.extractor(x))

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        return Interface((data_input("x", self.data_shape),), "logits", "logits of the classes", of_classes=True)

    def embed(self, x: Tensor) -> Tensor:
        """Features of examples of the target, (B, *data_shape) -> (B, D)."""
        with self._at("target"):
            feature: Tensor = self.extractor(x)
        return feature

    def logits(self, feature: Tensor) -> Tensor:
        """Logits of the classes, (B, D) -> (B, K)."""
        logits: Tensor = self.classifier(feature)
        return logits

    def views(self, source: Tensor, target: Tensor) -> Views:
        """Features and logits of both domains, (B, *data_shape) each."""
        feature = self.extractor(torch.cat([source, target]))
        return Views(feature, self.logits(feature))

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Log how well the source is told, collect what label-free scores are computed from, and return predictions."""
        domain = self.domains[dataloader_idx]
        seen = self._seen(batch, domain)
        if domain == "source":
            loss = self._log_source("val", batch, seen["logits"])
            self._dev.update(seen["feature"], loss)
        else:
            for metric in (self._information_maximisation, self._bnm, self._entropy):
                metric.update(seen["logits"])
            self._class_ami.update(seen["feature"], seen["logits"])
            self._dev.update(seen["feature"])
        return seen

    def on_validation_epoch_end(self) -> None:
        """Log the scores by which a checkpoint can be chosen without labels of the target."""
        scores = {
            "information_maximisation": self._information_maximisation,
            "bnm": self._bnm,
            "entropy": self._entropy,
            "class_ami": self._class_ami,
            "dev": self._dev,
        }
        for name, metric in scores.items():
            self.log(f"val/{name}", metric.compute())
            metric.reset()

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Log the accuracy in both domains, and return predictions."""
        domain = self.domains[dataloader_idx]
        seen = self._seen(batch, domain)
        if domain == "source":
            self._log_source("test", batch, seen["logits"])
        else:
            self.log_means({"test/target_accuracy": accuracy(seen["logits"], batch.label)}, batch)
        self._a_distance.update(seen["feature"], domain)
        return seen

    def on_test_epoch_end(self) -> None:
        """Log how well a linear classifier tells the domains apart."""
        self.log("test/proxy_a_distance", self._a_distance.compute())
        self._a_distance.reset()

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Features and predicted classes of examples of the target."""
        seen = self._seen(batch, "target")
        return {"latent": seen["feature"], "predicted": seen["predicted"], "index": batch.index}

    def _seen(self, batch: Any, domain: Domain) -> dict[str, Tensor]:
        with self._at(domain):
            feature = self.extractor(batch.x)
            logits = self.logits(feature)
        seen = {"feature": feature, "logits": logits, "predicted": logits.argmax(1), "index": batch.index}
        return seen | ({"label": batch.label} if hasattr(batch, "label") else {})

    def _log_source(self, stage: Stage, batch: Any, logits: Tensor) -> Tensor:
        loss = cross_entropy(logits, batch.label)
        means = {f"{stage}/source_loss": loss.mean(), f"{stage}/source_accuracy": accuracy(logits, batch.label)}
        self.log_means(means, batch)
        return loss

    @contextmanager
    def _at(self, domain: Domain) -> Iterator[None]:
        """Normalise by the statistics of one domain."""
        if not self.domain_statistics:  # nothing to switch, and finding that out is a walk through all modules
            yield
            return
        at_domain(self, domain)
        try:
            yield
        finally:
            at_domain(self, "both")


class AdaptationTechnique(DomainAdaptation, SingleLossTechnique):
    """Domain adaptation by one loss, in which the part that adapts has a weight lambda that rises in training.

    A technique implements `loss(batch)`, which returns a NamedTuple whose first field is `total`.

    Args:
        data_shape: see `DomainAdaptation`.
        num_classes: see `DomainAdaptation`.
        weight: of what adapts, at the end of training.
        ramp: steepness of the weight's rise, lambda = weight * (2 / (1 + exp(-ramp * p)) - 1) with p from 0 to 1 over
            the run (Ganin et al. 2016, section 5.2.2); 0 for a constant weight.
        **kwargs: see `DomainAdaptation` and `SingleLossTechnique`.

    Raises:
        ValueError: if a weight is negative.
    """

    def __init__(
        self, data_shape: Sequence[int], num_classes: int, *, weight: float = 1.0, ramp: float = 10.0, **kwargs: Any
    ) -> None:
        super().__init__(data_shape, num_classes, **kwargs)
        for name, value in {"weight": weight, "ramp": ramp}.items():
            if value < 0:
                raise ValueError(f"{name} is {value}: choose 0 or more")
        self.weight = weight
        self.ramp = ramp
        self._batches = math.nan  # of the whole fit

    @property
    def progress(self) -> Tensor:
        """p, the share of the fit's batches that have been trained on, in [0, 1]."""
        return (self.batch_step / self._batches).clamp(max=1)

    @property
    def strength(self) -> Tensor:
        """lambda, the weight at this moment of training."""
        if not self.ramp:
            return torch.full_like(self.progress, self.weight)
        return self.weight * (2 / (1 + (-self.ramp * self.progress).exp()) - 1)

    def on_train_start(self) -> None:
        """Learn how long the fit is.

        Raises:
            ValueError: if it has no end.
        """
        steps = finite_length(self.trainer.estimated_stepping_batches, type(self).__name__)
        batches = self.trainer.num_training_batches  # of an epoch, whose last step may have fewer of them
        self._batches = steps * batches / math.ceil(batches / self.trainer.accumulate_grad_batches)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Log lambda, then do as other techniques."""
        if self.logs_now:
            self.log_training({"lambda": self.strength})
        return super().training_step(batch, batch_idx)


def domain_terms(log_odds: Tensor) -> tuple[Tensor, Tensor]:
    """How well the domains of a batch are told apart.

    Args:
        log_odds: (2B, 1), of the source; its rows are the first half.

    Returns:
        The cross-entropy of each row, (2B,), in nats, and the accuracy, a scalar in [0, 1].
    """
    is_source = (torch.arange(len(log_odds), device=log_odds.device) < len(log_odds) // 2).unsqueeze(1)
    accuracy = ((log_odds > 0) == is_source).float().mean()
    return binary_cross_entropy(log_odds, is_source.to(log_odds.dtype)), accuracy
