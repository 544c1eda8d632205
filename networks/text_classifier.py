"""What tells the class of a text: an encoder, one vector of what it gives, and a layer."""

from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from networks.freezing import Freezable
from networks.pooling import max_over_known, mean_over_known
from networks.tokens import PAD


@runtime_checkable
class TokenEncoder(Protocol):
    """A network that encodes each token of a text beside the others, such as `MaskedTransformer`.

    Attributes:
        context: most tokens that it reads at once; None for no limit.
        width: of what it makes of each token, D.
    """

    context: int | None
    width: int

    def encode(self, token: Tensor) -> Tensor:
        """What each token means beside the others, (B, T) -> (B, T, D)."""

    def drop_output(self) -> None:
        """Take away what is not needed to encode."""


Pooling = Literal["mean", "max"]
"""How the vectors of a text become one: their mean, or the greatest of each entry."""


class TextEncoder(Freezable):
    """Gives one vector of each text, by a network that was made to tell masked tokens.

    Args:
        network: a `TokenEncoder`, which is left without its output.
        pooling: how the vectors of the tokens become one.

    Attributes:
        out_features: width of the vector, D.
        context: most tokens of a text; None for no limit.

    Raises:
        ValueError: if there is no such pooling.
    """

    def __init__(self, network: nn.Module, pooling: Pooling = "mean") -> None:
        assert isinstance(network, TokenEncoder)
        network.drop_output()
        super().__init__(network, type(network).__name__)
        self.pooling = pooling
        self.out_features = network.width
        self.context = network.context

    def forward(self, token: Tensor) -> Tensor:
        """Vectors of texts, int64 (B, T) -> (B, D); PAD on the right of shorter ones."""
        assert isinstance(self.network, TokenEncoder)
        encoded = self.network.encode(token)
        known = token != PAD
        return mean_over_known(encoded, known) if self.pooling == "mean" else max_over_known(encoded, known)


class TextClassifier(nn.Module):
    """A classification layer on the vectors of texts.

    Args:
        backbone: gives the vectors.
        num_classes: number of classes, K.
        dropout: share of the vectors' entries that are left out in training.
    """

    def __init__(self, backbone: TextEncoder, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.out_features, num_classes)

    def classify(self, feature: Tensor) -> Tensor:
        """Logits of the classes from vectors, (B, D) -> (B, K)."""
        logits: Tensor = self.head(self.dropout(feature))
        return logits

    def forward(self, token: Tensor) -> Tensor:
        """Logits of the classes of texts, int64 (B, T) -> (B, K)."""
        return self.classify(self.backbone(token))
