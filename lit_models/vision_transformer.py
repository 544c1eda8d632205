"""The Vision Transformer: a classifier of images that reads them as sequences of patches."""

from typing import Any, Literal

from torch.optim import Optimizer

from lit_models.base import OptimizerFactory, SchedulerFactory
from lit_models.classifier import Classifier, ClassifierFactory
from lit_models.parameter_groups import decay_groups
from networks import Mixing, VisionTransformer


class ViT(Classifier):
    """Supervised classification by a transformer over patches.

    Weight decay is that of matrices only: gains, biases, the class token and learned positions have none.

    Sources: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (2021);
    for small sets without pretraining Touvron et al., "Training data-efficient image transformers & distillation
    through attention" (2021): stochastic depth, mixing and label smoothing.

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        num_classes: number of classes, K; the CLI takes it from the data.
        network: makes the network from the image shape and the number of classes; `VisionTransformer` if not given.
        label_smoothing: see `Classifier`.
        mixing: see `Classifier`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

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
        super().__init__(
            image_shape,
            num_classes,
            network or VisionTransformer,
            label_smoothing,
            mixing,
            optimizer,
            scheduler,
            scheduler_interval,
        )

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer from its factory."""
        groups: list[Any] = decay_groups(self)
        return self._make_optimizer(groups)
