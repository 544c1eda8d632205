"""How well two domains can be told apart by their features, and what the metrics share that keep those of both."""

from abc import abstractmethod
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

Array = npt.NDArray[np.float64]
Domain = Literal["source", "target"]


class TwoDomains(Metric):
    """Collects rows of source and of target examples, from all processes.

    Args:
        limit: examples of each domain that are used at most, drawn from all.
    """

    full_state_update = False
    source: list[Tensor]
    target: list[Tensor]

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        check_limit(limit)
        self.limit = limit
        self.add_state("source", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")

    def keep(self, rows: Tensor, domain: Domain) -> None:
        """Add rows (B, D) of examples."""
        kept, others = (self.source, self.target) if domain == "source" else (self.target, self.source)
        kept.append(rows.detach().float())
        if not others:  # a process may have none of these, and then has to know their width to gather those of others
            others.append(kept[-1][:0])

    def compute(self) -> Tensor:
        """The score of the domains, a float64 scalar; NaN if a value is not finite.

        Raises:
            ValueError: if either domain has fewer than two examples.
        """
        source, target = self.domains()
        finite = np.isfinite(source).all() and np.isfinite(target).all()
        return scalar(self, self.score(source, target) if finite else np.nan)

    @abstractmethod
    def score(self, source: Array, target: Array) -> float:
        """The score of finite rows, (N, D) and (M, D)."""

    def domains(self) -> tuple[Array, Array]:
        """The drawn rows of the source (N, D) and of the target (M, D).

        Raises:
            ValueError: if either domain has too few to be split into halves.
        """
        source, target = gathered(self.source), gathered(self.target)
        if min(len(source), len(target)) < 2:
            raise ValueError(
                f"{type(self).__name__} was given {len(source)} source and {len(target)} target examples: "
                "it needs at least 2 of each"
            )
        return drawn(source, self.limit), drawn(target, self.limit)


def scalar(metric: Metric, value: float) -> Tensor:
    """What a metric gives that was not computed in PyTorch, float64 on its device."""
    return torch.tensor(value, dtype=torch.float64, device=metric.device)


def gathered(kept: list[Tensor]) -> Array:
    """All rows that a metric kept, (N, D)."""
    rows: Array = (dim_zero_cat(kept) if len(kept) else torch.empty(0, 1)).double().cpu().numpy()
    return rows


def drawn(rows: Array, limit: int) -> Array:
    """At most `limit` of the rows (N, D), the same ones in the same order however the rows came.

    Batches and processes hand rows over in different orders; so they are first put into that of their bytes.
    """
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    shuffled = np.random.default_rng(0).permutation(len(rows))[:limit]
    chosen: Array = rows[np.argsort(whole)[shuffled]]
    return chosen


def cross_fitted_log_odds(source: Array, target: Array) -> tuple[Array, Array]:
    """Log p(target | x) / p(source | x) of every example, by a linear classifier that was fitted without it.

    Logistic regression on standardised features: fitted on the first half of each domain for the second, and the other
    way around. Both domains weigh the same, however many examples they have.

    Args:
        source: (N, D), at least two rows in no particular order.
        target: (M, D), likewise.

    Returns:
        (N,) and (M,).
    """
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.preprocessing import StandardScaler

    odds = np.empty(len(source)), np.empty(len(target))
    for first in (True, False):
        fitted = [_half(x, first) for x in (source, target)]
        label = np.repeat([0, 1], [len(x) for x in fitted])
        scaler = StandardScaler().fit(np.concatenate(fitted))
        classifier = LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-3)
        classifier.fit(scaler.transform(np.concatenate(fitted)), label)
        for x, odd in zip((source, target), odds, strict=True):
            _half(odd, not first)[:] = classifier.decision_function(scaler.transform(_half(x, not first)))
    return odds


def _half(x: Array, first: bool) -> Array:
    return x[: len(x) // 2] if first else x[len(x) // 2 :]


def check_limit(limit: int) -> None:
    """Refuse a limit that leaves no halves.

    Raises:
        ValueError: if it is below 2.
    """
    if limit < 2:
        raise ValueError(f"limit is {limit}: at least 2 examples have to be left")
