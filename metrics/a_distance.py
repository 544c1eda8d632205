"""Distance of two domains by how well they can be told apart."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metrics.domain_odds import TwoDomains, cross_fitted_log_odds


class ProxyADistance(TwoDomains):
    """2 (1 - 2 e), with e the error of a linear classifier that tells the domains apart by features it did not see.

    2 where it always can, 0 in expectation where the domains are the same; by chance it can then be slightly negative.
    The classifier is a logistic regression, fitted on each half of the examples for the other. Both domains weigh the
    same in the error, however many examples they have.

    Source: Ben-David et al., "Analysis of Representations for Domain Adaptation" (2006); Ganin et al.,
    "Domain-Adversarial Training of Neural Networks" (2016), eq. 3.

    Args:
        limit: examples of each domain that are used at most, drawn from all.
    """

    higher_is_better = False

    def update(self, feature: Tensor, domain: Literal["source", "target"]) -> None:
        """Add features (B, D) of one domain."""
        self.keep(feature, domain)

    def compute(self) -> Tensor:
        """The distance, a float64 scalar; NaN if a feature is not finite.

        Raises:
            ValueError: if either domain has fewer than two examples.
        """
        source, target = self.domains()
        if not (np.isfinite(source).all() and np.isfinite(target).all()):
            distance = np.nan
        else:
            in_source, in_target = cross_fitted_log_odds(source, target)
            error = ((in_source > 0).mean() + (in_target <= 0).mean()) / 2
            distance = 2 * (1 - 2 * error)
        return torch.tensor(distance, dtype=torch.float64, device=self.device)
