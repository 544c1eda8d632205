"""The supervised classifier."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lit_models.base import OptimizerFactory, PretrainedPart, SchedulerFactory, label_and_index
from lit_models.single_loss import SingleLossTechnique
from networks import ConvClassifier, ImageShape, Interface, Mixed, Mixing, PatchAttention, data_input, patch_attention
from objectives import accuracy, cross_entropy, mixed_cross_entropy

ClassifierFactory = Callable[[ImageShape, int], nn.Module]


class ClassifierTerms(NamedTuple):
    """Terms of the loss, means over the batch; `accuracy`, in [0, 1], is only reported."""

    total: Tensor
    accuracy: Tensor


def classification_terms(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> ClassifierTerms:
    """Cross-entropy, see `objectives.cross_entropy`, and accuracy of logits (B, K) for labels (B,)."""
    return ClassifierTerms(cross_entropy(logits, label, smoothing).mean(), accuracy(logits, label))


@runtime_checkable
class Featured(Protocol):
    """A network with features that its classes are told from."""

    def features(self, image: Tensor) -> Tensor:
        """Features of images, (B, C, H, W) -> (B, D)."""


@runtime_checkable
class Mapped(Protocol):
    """A network whose classes are told from maps that have places."""

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps (B, C', H', W') of images (B, C, H, W), and the network's output (B, K), which follows."""


class Classifier(SingleLossTechnique):
    """Supervised classification by cross-entropy: what features learned without labels are measured against.

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        num_classes: number of classes, K; the CLI takes it from the data.
        network: makes the network from the image shape and the number of classes; `ConvClassifier` if not given. Its
            `features` method, where it has one, gives the codes for pictures and for `predict`, and `feature_maps` the
            maps for Grad-CAM.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1).
        mixing: mixes the images of a training batch, as `MixUp` and `CutMix` do.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    pretrained_part: ClassVar[PretrainedPart | None] = PretrainedPart("network")

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        network: ClassifierFactory | None = None,
        label_smoothing: float = 0.0,
        mixing: Mixing | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(optimizer, scheduler, scheduler_interval)
        if num_classes < 2:
            raise ValueError(
                f"num_classes is {num_classes}: a classifier needs data with labels of two or more classes"
            )
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}: it is a share, in [0, 1)")
        self.image_shape = ImageShape(*image_shape)
        self.network = (network or ConvClassifier)(self.image_shape, num_classes)
        self.label_smoothing = label_smoothing
        self.mixing = mixing

    @property
    def mixes(self) -> bool:
        """Whether images are mixed in training, so that their features are new each time."""
        return self.mixing is not None

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the classes, (B, C, H, W) -> (B, K)."""
        logits: Tensor = self.network(image)
        return logits

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        return Interface((data_input("image", self.image_shape),), "logits", "logits of the classes", of_classes=True)

    def embed(self, image: Tensor) -> Tensor:
        """The network's features, or its logits if it has none to show, (B, C, H, W) -> (B, D)."""
        return self.network.features(image) if isinstance(self.network, Featured) else self(image)

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor] | None:
        """The network's last maps (B, C', H', W') and the logits (B, K) that come from them; None if it has none."""
        return self.network.feature_maps(image) if isinstance(self.network, Mapped) else None

    def patch_attention(self, image: Tensor) -> PatchAttention | None:
        """What the patches of images (B, C, H, W) attend to; None if the network reads no patches."""
        return patch_attention(self.network, image)

    def loss(self, batch: Any) -> ClassifierTerms:
        """Cross-entropy and accuracy of a labelled batch, of mixed images in training if there is `mixing`."""
        if self.training and self.mixing is not None:
            return self._mixed_loss(batch, self.mixing)
        return self.terms(batch, self(batch.image))

    def terms(self, batch: Any, logits: Tensor) -> ClassifierTerms:
        """Cross-entropy and accuracy of logits (B, K) for the labels of a batch.

        Raises:
            ValueError: if the batch has no labels.
        """
        if not hasattr(batch, "label"):
            raise ValueError(f"a classifier needs labels, and a {type(batch).__name__} has none: choose labelled data")
        return classification_terms(logits, batch.label, self.label_smoothing)

    def _mixed_loss(self, batch: Any, mixing: Mixing) -> ClassifierTerms:
        """Of mixed images; the accuracy is that of the class with the larger share."""
        mixed: Mixed = mixing(batch.image)
        logits = self(mixed.image)
        terms = self.terms(batch, logits)  # which tells of missing labels
        larger = torch.where(mixed.share >= 0.5, batch.label, batch.label[mixed.partner])
        mixture = mixed_cross_entropy(logits, batch.label, mixed.partner, mixed.share, self.label_smoothing)
        return terms._replace(total=mixture.mean(), accuracy=accuracy(logits, larger))

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Log the terms of the loss as means over the test part, and give the probabilities of the classes."""
        logits = self(batch.image)
        self.log_terms("test", self.terms(batch, logits), batch)
        return {"probability": logits.float().softmax(1), **label_and_index(batch)}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Codes and predicted classes of a batch, with the labels where known."""
        return {"latent": self.embed(batch.image), "predicted": self(batch.image).argmax(1), **label_and_index(batch)}
