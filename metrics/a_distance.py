"""Distance of two domains by how well they can be told apart."""

from torch import Tensor

from metrics.domain_odds import Array, Domain, TwoDomains, cross_fitted_log_odds


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

    def update(self, feature: Tensor, domain: Domain) -> None:
        """Add features (B, D) of one domain."""
        self.keep(feature, domain)

    def score(self, source: Array, target: Array) -> float:
        """The distance."""
        in_source, in_target = cross_fitted_log_odds(source, target)
        error = ((in_source > 0).mean() + (in_target <= 0).mean()) / 2
        return float(2 * (1 - 2 * error))
