"""How many latent dimensions a variational autoencoder uses."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ActiveUnits(Metric):
    """Number of latent dimensions whose posterior mean varies over the data by more than 0.01.

    Source: Burda et al., "Importance Weighted Autoencoders" (2016), section 5.2.

    Args:
        latent_dim: number of latent dimensions, D.
        threshold: smallest variance of an active unit.
    """

    full_state_update = False
    total: Tensor
    squares: Tensor
    count: Tensor

    def __init__(self, latent_dim: int, threshold: float = 0.01) -> None:
        super().__init__()
        self.threshold = threshold
        self.add_state("total", torch.zeros(latent_dim), dist_reduce_fx="sum")
        self.add_state("squares", torch.zeros(latent_dim), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, mu: Tensor) -> None:
        """Add the posterior means (B, D) of one batch."""
        self.total = self.total + mu.sum(0)
        self.squares = self.squares + mu.square().sum(0)
        self.count = self.count + len(mu)

    def compute(self) -> Tensor:
        """Number of active units, a float scalar."""
        mean = self.total / self.count
        variance = self.squares / self.count - mean.square()
        return (variance > self.threshold).sum().float()
