"""How much generated examples differ from one another, beside real ones."""

import torch
from torch import Tensor
from torchmetrics import Metric

from metrics.two_sets import check_sizes


class Diversity(Metric):
    """Ratio of the standard deviations of generated and real features, (tr cov' / tr cov)^1/2.

    1 for a model as varied as the data, 0 for one that gives always the same example. It sees collapse at a glance and
    costs nothing; a ratio of 1 alone does not say that the examples are good.

    Args:
        dim: number of features, D.
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        # row 0 is of generated examples, row 1 of real ones
        self.add_state("count", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(2, dim, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("squares", torch.zeros(2, dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor, real: bool) -> None:
        """Add features (B, D) of real or of generated examples."""
        x = features.detach().double()
        row = torch.tensor([not real, real], device=x.device).double()
        self.count = self.count + row * len(x)
        self.total = self.total + torch.outer(row, x.sum(0))
        self.squares = self.squares + torch.outer(row, x.square().sum(0))

    def compute(self) -> Tensor:
        """The ratio, a float64 scalar; infinite if the real examples are all the same.

        Raises:
            ValueError: if either set has fewer than two examples.
        """
        check_sizes(type(self).__name__, 2, int(self.count[1]), int(self.count[0]))
        count = self.count.unsqueeze(1)
        variance = (self.squares - self.total.square() / count).clamp_min(0).sum(1) / (self.count - 1)
        return (variance[0] / variance[1]).sqrt()
