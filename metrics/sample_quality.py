"""How good a generative model's examples are, in one space of features."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric, SumMetric

from metrics.diversity import Diversity
from metrics.frechet import FrechetDistance
from metrics.kernel_distance import KernelDistance
from metrics.mode_coverage import ModeCoverage
from metrics.precision_recall import PrecisionRecall
from metrics.two_sets import TwoSets
from networks import FeatureExtractor, RawFeatures


class SampleQuality(nn.Module):
    """Compares generated examples with real ones, and says how many there were of both.

    - `precision`, `recall` and `diversity` always
    - `frechet_distance` and `kernel_distance` in the features of a network
    - `energy_distance` of raw values, which have no scale of their own
    - `modes_covered` and `high_quality` where the modes of the data are known
    - `n_real` and `n_generated`, without which none of these numbers can be compared

    Args:
        features: in which examples are compared; the values themselves if not given.
        data_shape: of one example.
    """

    def __init__(self, features: FeatureExtractor | None, data_shape: Sequence[int]) -> None:
        super().__init__()
        extractor = features or RawFeatures(tuple(data_shape))
        self._extractor = [extractor]  # in a list it is no part of the model, whose checkpoints do without its weights
        self.distances = nn.ModuleDict(
            {"frechet_distance": FrechetDistance(extractor.dim), "kernel_distance": KernelDistance()}
            if features
            else {"energy_distance": KernelDistance("energy")}
        )
        self.precision_recall = PrecisionRecall()
        self.diversity = Diversity(extractor.dim)
        self.n_real = SumMetric()
        self.n_generated = SumMetric()
        self.coverage: ModeCoverage | None = None

    @property
    def _compared(self) -> list[Metric]:
        return [metric for _, metric in self._metrics() if isinstance(metric, TwoSets | FrechetDistance | Diversity)]

    @property
    def description(self) -> str:
        """Of the features."""
        return self._extractor[0].description

    def update(self, real: Tensor, generated: Tensor) -> None:
        """Add examples of both kinds, (B, *data_shape) each."""
        extract = self._extractor[0].to(real.device)
        for examples, are_real in ((real, True), (generated, False)):
            features = extract(examples)
            for metric in self._compared:
                metric.update(features, are_real)
        self.n_real.update(len(real))
        self.n_generated.update(len(generated))
        if self.coverage is not None:
            self.coverage.update(generated)

    def compute(self) -> dict[str, Tensor]:
        """Name to value, over all processes; each of them has to call it."""
        values: dict[str, Tensor] = {}
        for name, metric in self._metrics():
            value: Any = metric.compute()
            values |= value._asdict() if hasattr(value, "_asdict") else {name: value}
        return values

    def reset(self) -> None:
        """Forget all examples."""
        for _, metric in self._metrics():
            metric.reset()

    def _metrics(self) -> Iterator[tuple[str, Metric]]:
        for name, module in [*self.distances.items(), *self.named_children()]:
            if isinstance(module, Metric):
                yield name, module
