"""Transfer learning: a classifier that begins with a network that was trained on other data."""

from typing import Any, Literal

from torch import Tensor, nn

from lit_models.backbones import BackboneFactory, BackboneSource
from lit_models.base import OptimizerFactory, SchedulerFactory, label_and_index
from lit_models.classifier import Classifier, ClassifierTerms
from lit_models.fine_tuning import FineTuned, check_rates
from networks import Backbone, ImageShape, Mixing, TransferNetwork
from networks.torchvision_networks import TorchvisionName


class TransferClassifier(FineTuned, Classifier):
    """A network that was trained on other data, without its classification layer, and a new one for these.

    Images are brought to the channels, the size and the normalisation that the weights were trained with: grey ones
    are repeated over the channels of a colour network, colour is reduced to luma for a grey one (ITU-R BT.601), and
    other sizes are resized. The callback `Unfreezing` says what is trained when; without it, everything is.

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        num_classes: number of classes, K; the CLI takes it from the data.
        backbone: name of a classifier of torchvision, such as `resnet18`, or what makes a network that ends in a
            classification layer from the image shape and the number of classes. If not given, the network that the
            weights are of, where they tell.
        weights: name of weights of torchvision for a network of torchvision, such as `DEFAULT`; or a file of weights
            or a checkpoint, the folder of a run or its id in `runs`; or `mnist_classifier`, which is shipped, and is
            taken if no backbone is named either. None for random ones.
        image_size: side of the square that the network takes; that of its weights, or of the data, if not given.
        margin: pixels on each side of that square that stay black around the image.
        mean: of each channel of the images, in [0, 1], that the network is normalised by; that of the weights, where
            they tell, or none if not given. Files do not tell, except those of torchvision under their own names.
        std: of each channel, likewise.
        dropout: share of the features that are left out in training.
        label_smoothing: see `Classifier`.
        backbone_rate: see `FineTuned`.
        layer_decay: see `FineTuned`.
        mixing: see `Classifier`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.

    Raises:
        ValueError: if an argument is impossible, or the weights and the network do not belong together.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        backbone: TorchvisionName | BackboneFactory | str | None = None,
        weights: str | None = None,
        image_size: int | None = None,
        margin: int = 0,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        backbone_rate: float = 1.0,
        layer_decay: float = 1.0,
        mixing: Mixing | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        check_rates(backbone_rate, layer_decay)
        source = BackboneSource(backbone, weights, image_size, margin, mean, std)

        def network(shape: ImageShape, classes: int) -> TransferNetwork:
            return TransferNetwork(source.build(shape, classes), classes, dropout)

        super().__init__(
            image_shape, num_classes, network, label_smoothing, mixing, optimizer, scheduler, scheduler_interval
        )
        self.hparams.pop("network", None)  # an argument of the base class, not of this one
        self.backbone_rate = backbone_rate
        self.layer_decay = layer_decay

    @property
    def backbone(self) -> Backbone:
        """The network without its classification layer."""
        return self._network.backbone

    @property
    def head(self) -> nn.Linear:
        """The new classification layer."""
        return self._network.head

    def loss(self, batch: Any) -> ClassifierTerms:
        """Cross-entropy and accuracy of a labelled batch, of mixed images in training if there is `mixing`."""
        if self.training and self.mixing is not None:
            return super().loss(batch)
        part = None
        if self.cached is not None:
            part = self.cached.train if self.training else self.cached.val
        feature = self.embed(batch.image) if part is None else part[batch.index]
        return self.terms(batch, self._network.classify(feature))

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor] | None:
        """The backbone's last maps (B, C', H', W') and the logits (B, K) that come from them; None if it has none."""
        if not self.backbone.has_maps:
            return None
        maps, feature = self.backbone.feature_maps(image)
        return maps, self._network.classify(feature)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Features and predicted classes of a batch, with the labels where known."""
        feature = self.embed(batch.image)
        predicted = self._network.classify(feature).argmax(1)
        return {"latent": feature, "predicted": predicted, **label_and_index(batch)}

    @property
    def _network(self) -> TransferNetwork:
        assert isinstance(self.network, TransferNetwork)
        return self.network
