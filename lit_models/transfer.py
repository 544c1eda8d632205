"""Transfer learning: a classifier that begins with a network that was trained on other data."""

from math import isclose
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.backbones import BackboneFactory, BackboneSource
from lit_models.base import OptimizerFactory, SchedulerFactory, label_and_index
from lit_models.classifier import Classifier, ClassifierTerms
from networks import Backbone, Block, FeatureCache, ImageShape, Mixing, TransferNetwork
from networks.torchvision_networks import TorchvisionName


class TransferClassifier(Classifier):
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
        backbone_rate: learning rate of the highest block of the backbone, as a multiple of the optimizer's own, which
            is that of the classification layer.
        layer_decay: factor from the learning rate of each block to that of the one below, in (0, 1].
        mixing: see `Classifier`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.

    Attributes:
        cached: features of the data, which training and validation take in place of the images where they are there.

    Raises:
        ValueError: if an argument is impossible, or the weights and the network do not belong together.
    """

    cached: FeatureCache | None = None

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
        if backbone_rate <= 0:
            raise ValueError(f"backbone_rate is {backbone_rate}: choose more than 0, or freeze by unfreezing.strategy")
        if not 0 < layer_decay <= 1:
            raise ValueError(f"layer_decay is {layer_decay}: it is a factor from block to block, in (0, 1]")

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

    @property
    def blocks(self) -> list[Block]:
        """Parts of the backbone that can be frozen, from the image upwards."""
        return self.backbone.blocks

    @property
    def trained_blocks(self) -> int:
        """How many of the highest blocks train; all outside of a fit that freezes some."""
        return self.backbone.trained_blocks

    def train_blocks(self, n: int) -> None:
        """Let the classification layer and the highest n blocks train; see `Backbone.train_blocks`.

        The optimizer has all parameters from the start, and passes over those that have no gradient.

        Raises:
            ValueError: if there are not so many.
        """
        self.backbone.train_blocks(n)
        self.train()

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

    def on_fit_end(self) -> None:
        """Forget the features, which are of the data of this fit."""
        self.cached = None

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer with a group of parameters and a learning rate for each block and for the new layer."""
        groups: list[Any] = [{"params": block.parameters, "name": block.name} for block in self.blocks]
        groups.append({"params": list(self.head.parameters()), "name": "head"})
        optimizer = self._make_optimizer(groups)
        for group, rate in zip(optimizer.param_groups, self.rates, strict=True):
            group["lr"] = group["lr"] * rate
        return optimizer

    def configure_optimizers(self) -> Any:
        """Build the optimizer and the scheduler.

        Raises:
            ValueError: if the scheduler sets rates of its own.
        """
        configured = super().configure_optimizers()
        if isinstance(configured, dict):
            first = [group.get("initial_lr", group["lr"]) for group in configured["optimizer"].param_groups]
            if any(not isclose(lr, first[-1] * rate) for lr, rate in zip(first, self.rates, strict=True)):
                kind = type(configured["lr_scheduler"]["scheduler"]).__name__
                raise ValueError(
                    f"scheduler is {kind}: it sets rates of its own, and backbone_rate and layer_decay would be "
                    "ignored: choose WarmupCosine, or leave both at 1"
                )
        return configured

    @property
    def rates(self) -> list[float]:
        """Learning rates as multiples of the optimizer's own, of the blocks from the image upwards and the new layer.

        The highest block has `backbone_rate`, and each below `layer_decay` times that of the one above.
        """
        depths = reversed(range(len(self.blocks)))
        return [*(self.backbone_rate * self.layer_decay**depth for depth in depths), 1.0]

    @property
    def _network(self) -> TransferNetwork:
        assert isinstance(self.network, TransferNetwork)
        return self.network
