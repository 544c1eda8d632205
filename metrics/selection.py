"""Scores of a model of the target domain that need none of its labels, to select between epochs and settings.

Which of them tell the accuracy on the target: Musgrave et al., "Benchmarking Validation Methods for Unsupervised Domain
Adaptation" (2022). None of them depends on the order, the batches or the processes that the examples come in.
"""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from metrics.domain_odds import Array, TwoDomains, check_limit, cross_fitted_log_odds, drawn, gathered, scalar


class _OfPredictions(Metric):
    """Collects the predicted probabilities of all examples."""

    full_state_update = False
    probability: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("probability", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor) -> None:
        """Add the logits of target examples, (B, K)."""
        self.probability.append(logits.detach().double().softmax(1))

    def probabilities(self) -> Tensor:
        """The predicted probabilities, float64 (N, K)."""
        probabilities: Tensor = dim_zero_cat(self.probability)
        return probabilities


class InformationMaximisation(_OfPredictions):
    """H(E p) - E H(p), in nats: predictions should be sure, each of them, and varied, all together.

    From 0, where all predictions are the same, to log K, where all are sure and every class equally frequent.

    Source: Musgrave et al. (2022), "IM"; Shi and Sha, "Information-Theoretical Learning of Discriminative Clusters for
    Unsupervised Domain Adaptation" (2012).
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """The mutual information of example and predicted class, a float64 scalar."""
        probability = self.probabilities()
        return _entropy(probability.mean(0)) - _entropy(probability).mean()


class PredictionEntropy(_OfPredictions):
    """E H(p), in nats: from 0, where all predictions are sure, to log K.

    It does not see that all examples are taken for the same class.

    Source: Musgrave et al. (2022), "Entropy"; Morerio et al., "Minimal-Entropy Correlation Alignment" (2018).
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """The mean entropy, a float64 scalar."""
        return _entropy(self.probabilities()).mean()


class BatchNuclearNorm(_OfPredictions):
    """Nuclear norm of the matrix (N, K) of all predicted probabilities, over the largest it can be, (N min(N, K))^1/2.

    It is 1 where all predictions are sure and every class equally frequent, and smallest, min(N, K)^-1/2 K^-1/2, where
    all are uniform.

    Source: Cui et al., "Towards Discriminability and Diversity: Batch Nuclear-norm Maximization under Label
    Insufficient Situations" (2020), of a whole set instead of a batch, and divided by the bound instead of N, so that
    sets of different sizes can be compared; for selection, Musgrave et al. (2022), "BNM".
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """The share of the bound, a float64 scalar."""
        probability = self.probabilities()
        if not probability.isfinite().all():
            return probability.new_tensor(torch.nan)
        n, k = probability.shape
        norm: Tensor = torch.linalg.svdvals(probability).sum()
        largest: float = (n * min(n, k)) ** 0.5
        return norm / largest


class ClassAMI(Metric):
    """Adjusted mutual information of the predicted classes with clusters of the features.

    1 where the clusters are the classes, 0 in expectation where they have nothing to do with one another, and 0 where
    all examples are taken for the same class. The clusters are found by k-means, as many as there are classes.

    Source: Robbiano et al., "Adversarial Branch Architecture Search for Unsupervised Domain Adaptation" (2022);
    Musgrave et al. (2022), "ClassAMI".

    Args:
        limit: examples that are clustered at most, drawn from all.
    """

    higher_is_better = True
    full_state_update = False
    rows: list[Tensor]
    classes: Tensor

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        check_limit(limit)
        self.limit = limit
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.add_state("classes", torch.tensor(0), dist_reduce_fx="max")

    def update(self, feature: Tensor, logits: Tensor) -> None:
        """Add features (B, D) of target examples, and the logits (B, K) that follow from them."""
        self.classes = torch.full_like(self.classes, logits.shape[1])
        predicted = logits.detach().argmax(1, keepdim=True)
        self.rows.append(torch.cat([feature.detach().float(), predicted.float()], dim=1))

    def compute(self) -> Tensor:
        """The adjusted mutual information, a float64 scalar."""
        from sklearn.cluster import KMeans  # slow to import
        from sklearn.metrics import adjusted_mutual_info_score

        rows = drawn(gathered(self.rows), self.limit)
        feature, predicted = rows[:, :-1], rows[:, -1]
        if not np.isfinite(feature).all():
            return scalar(self, np.nan)
        clusters = min(int(self.classes), len(np.unique(feature, axis=0)))
        if min(clusters, len(np.unique(predicted))) <= 1:  # scikit-learn calls two sets of one cluster a perfect match
            return scalar(self, 0)
        found = KMeans(clusters, n_init=5, random_state=0).fit_predict(feature)
        return scalar(self, adjusted_mutual_info_score(predicted, found))


class DeepEmbeddedValidation(TwoDomains):
    """Risk on the target, from losses on the source that are weighted by how much an example is of the target.

    With w the ratio of the densities of target and source at an example, and l its loss:
    R = mean(w l) + eta mean(w) - eta, eta = -cov(w l, w) / var(w), a control variate; mean(l) where all w are equal.

    Normalised, all weights are divided by the largest: the score is then bounded, where a few examples far inside the
    target can otherwise dominate it, and is to rank models. It is no estimate of the risk then, but near that of the
    examples most of the target.

    Source: You et al., "Towards Accurate Model Selection in Deep Unsupervised Domain Adaptation" (2019), algorithm 1;
    normalised, Musgrave et al. (2022), "DEVN". Here the ratio is of logistic regressions between the two sets, for each
    example of one that was fitted without it.

    Args:
        limit: examples of each domain that are used at most, drawn from all.
        normalise: divide the weights by the largest.
    """

    higher_is_better = False

    def __init__(self, limit: int = 1000, normalise: bool = True) -> None:
        super().__init__(limit)
        self.normalise = normalise

    def update(self, feature: Tensor, loss: Tensor | None = None) -> None:
        """Add features (B, D), of source examples with the loss of each (B,), of target examples without."""
        column = (feature.new_zeros(len(feature)) if loss is None else loss).float().unsqueeze(1)
        self.keep(torch.cat([feature.float(), column], dim=1), "target" if loss is None else "source")

    def score(self, source: Array, target: Array) -> float:
        """The risk."""
        loss = source[:, -1]
        odds, _ = cross_fitted_log_odds(source[:, :-1], target[:, :-1])
        weight = np.exp(odds - odds.max()) if self.normalise else np.exp(odds)
        variance = weight.var(ddof=1)
        equal = variance <= 1e-12 * weight.mean() ** 2
        eta = 0.0 if equal else -np.cov(weight * loss, weight)[0, 1] / variance
        return float((weight * loss).mean() + eta * weight.mean() - eta)


def _entropy(probability: Tensor) -> Tensor:
    """Of distributions (*, K), in nats, (*)."""
    entropy: Tensor = torch.special.entr(probability).sum(-1)
    return entropy
