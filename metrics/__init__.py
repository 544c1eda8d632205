"""Metrics that several techniques share, correct over unequal batches and several processes."""

from metrics.active_units import ActiveUnits
from metrics.annealed_importance import LogPartition, annealed_importance, exact_log_partition
from metrics.diversity import Diversity
from metrics.example_mean import ExampleMean
from metrics.frechet import FrechetDistance
from metrics.kernel_distance import KernelDistance
from metrics.mean_activation import MeanActivation
from metrics.mode_coverage import REACH, Coverage, KnownModes, ModeCoverage
from metrics.pca import PCAReconstruction
from metrics.precision_recall import PrecisionAndRecall, PrecisionRecall
from metrics.sample_quality import SampleQuality

__all__ = [
    "REACH",
    "ActiveUnits",
    "Coverage",
    "Diversity",
    "ExampleMean",
    "FrechetDistance",
    "KernelDistance",
    "KnownModes",
    "LogPartition",
    "MeanActivation",
    "ModeCoverage",
    "PCAReconstruction",
    "PrecisionAndRecall",
    "PrecisionRecall",
    "SampleQuality",
    "annealed_importance",
    "exact_log_partition",
]
