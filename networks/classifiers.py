"""A small convolutional classifier."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from networks.shapes import ImageShape

_AFTER_MAPS = 4  # layers of the body after the last maps: pooling, flattening, the linear layer, its ReLU


class ConvClassifier(nn.Module):
    """Stages of 3x3 convolution, batch normalisation, ReLU and 2x2 pooling, then features, then the classes.

    Each stage halves height and width (rounded up); a size of 1 stays 1, so that any image has a size that fits.

    Args:
        image_shape: shape of the images; supplied by the model.
        num_classes: number of classes; supplied by the model.
        channels: output channels of each stage, from the image inwards.
        features: width of the layer before the last.
        dropout: share of features that are left out in training.

    Raises:
        ValueError: if a size is below 1, or the dropout is not in [0, 1).
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        channels: Sequence[int] = (16, 32, 64),
        features: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels is {list(channels)}: give at least one stage, every stage at least one channel")
        if features < 1:
            raise ValueError(f"features is {features}: the classes need at least one")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}: it is the share of features left out, in [0, 1)")
        layers: list[nn.Module] = []
        height, width = image_shape.height, image_shape.width
        for narrow, wide in pairwise([image_shape.channels, *channels]):
            layers += [
                nn.Conv2d(narrow, wide, 3, padding=1, bias=False),  # the normalisation has a bias
                nn.BatchNorm2d(wide),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            height, width = (height + 1) // 2, (width + 1) // 2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * width, features), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, num_classes)

    def features(self, image: Tensor) -> Tensor:
        """What the classes are told from, (B, C, H, W) -> (B, features), none negative."""
        features: Tensor = self.body(image)
        return features

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of the last convolution, before they are pooled, and what `forward` gives.

        Args:
            image: (B, C, H, W).

        Returns:
            (B, C', H', W'), none negative, and logits (B, num_classes), which depend on them.
        """
        maps: Tensor = self.body[:-_AFTER_MAPS](image)
        logits: Tensor = self.head(self.dropout(self.body[-_AFTER_MAPS:](maps)))
        return maps, logits

    def forward(self, image: Tensor) -> Tensor:
        """Log-odds of the classes up to a constant, (B, C, H, W) -> (B, num_classes)."""
        logits: Tensor = self.head(self.dropout(self.features(image)))
        return logits
