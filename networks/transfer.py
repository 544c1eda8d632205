"""A backbone and the layer that gives the classes of other data."""

from torch import Tensor, nn

from networks.backbone import Backbone


class TransferNetwork(nn.Module):
    """A new classification layer on the features of a backbone.

    Args:
        backbone: gives the features.
        num_classes: number of classes, K.
        dropout: share of the features that are left out in training.

    Raises:
        ValueError: if the dropout is not in [0, 1).
    """

    def __init__(self, backbone: Backbone, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}: it is the share of features left out, in [0, 1)")
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.out_features, num_classes)

    def features(self, image: Tensor) -> Tensor:
        """Features of images in [0, 1], (B, C, H, W) -> (B, D)."""
        feature: Tensor = self.backbone(image)
        return feature

    def classify(self, feature: Tensor) -> Tensor:
        """Logits of the classes from features, (B, D) -> (B, K)."""
        logits: Tensor = self.head(self.dropout(feature))
        return logits

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the classes of images in [0, 1], (B, C, H, W) -> (B, K)."""
        return self.classify(self.features(image))
