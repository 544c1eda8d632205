"""How active each hidden unit is over a whole data set."""

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanActivation(Metric):
    """Mean activation of each hidden unit over all examples, whatever batches they came in.

    Args:
        units: number of hidden units, D.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(units), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, code: Tensor) -> None:
        """Add the activations (B, D) of one batch."""
        self.total = self.total + code.float().sum(0)
        self.count = self.count + len(code)

    def compute(self) -> Tensor:
        """Mean activations, (D,)."""
        return self.total / self.count
