"""How a generator and a discriminator are told a class."""

import torch
from torch import Tensor, nn


class ClassInput(nn.Module):
    """Appends a learned embedding of the class to the latent code; without classes, nothing.

    Args:
        latent_dim: width of the code, D.
        num_classes: number of classes; 0 for an unconditional generator.
        width: of the embedding.

    Attributes:
        out_features: width of what comes out.
    """

    def __init__(self, latent_dim: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, width) if num_classes else None
        self.out_features = latent_dim + (width if num_classes else 0)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, D) and int64 (B,) -> (B, out_features)."""
        if self.embedding is None:
            return z
        assert label is not None
        return torch.cat([z, self.embedding(label)], dim=1)


class ProjectionHead(nn.Module):
    """The score of features, to which their agreement with a class is added: w . h + v_y . h.

    Source: Miyato and Koyama, "cGANs with Projection Discriminator" (2018), figure 1d.

    Args:
        in_features: width of the features h.
        num_classes: number of classes; 0 for an unconditional discriminator.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.score = nn.Linear(in_features, 1)
        self.projection = nn.Embedding(num_classes, in_features) if num_classes else None

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, F) and int64 (B,) -> (B,)."""
        score: Tensor = self.score(features).squeeze(1)
        if self.projection is None:
            return score
        assert label is not None
        agreement: Tensor = (self.projection(label) * features).sum(1)
        return score + agreement
