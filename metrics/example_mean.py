"""The mean of a quantity over examples."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ExampleMean(Metric):
    """Mean over all examples of a part, from means over batches of any size on any process.

    Neither Lightning's own averaging (over several processes it rounds the number of examples of a
    process to a whole number) nor torchmetrics' `MeanMetric` (which drops NaN, or with that turned off
    the weights) gives this mean.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, mean: Tensor, examples: int | Tensor) -> None:
        """Add the mean over one batch of so many examples."""
        # not in place, here and in the other metrics: a state that was reset in inference mode may not be changed
        self.total = self.total + mean.detach() * examples
        self.count = self.count + examples

    def compute(self) -> Tensor:
        """The mean, a scalar."""
        return self.total / self.count
