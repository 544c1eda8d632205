"""Metrics that several techniques share, correct over unequal batches and several processes."""

from metrics.a_distance import ProxyADistance
from metrics.active_units import ActiveUnits
from metrics.annealed_importance import LogPartition, annealed_importance, exact_log_partition
from metrics.diversity import Diversity
from metrics.domain_odds import Domain
from metrics.example_mean import ExampleMean
from metrics.frechet import FrechetDistance
from metrics.kernel_distance import KernelDistance
from metrics.mean_activation import MeanActivation
from metrics.mode_coverage import REACH, Coverage, KnownModes, ModeCoverage
from metrics.pca import PCAReconstruction
from metrics.perplexity import Perplexity
from metrics.precision_recall import PrecisionAndRecall, PrecisionRecall
from metrics.sample_quality import SampleQuality
from metrics.selection import (
    BatchNuclearNorm,
    ClassAMI,
    DeepEmbeddedValidation,
    InformationMaximisation,
    PredictionEntropy,
)
from metrics.translation import TranslationScores, signatures

__all__ = [
    "REACH",
    "ActiveUnits",
    "BatchNuclearNorm",
    "ClassAMI",
    "Coverage",
    "DeepEmbeddedValidation",
    "Diversity",
    "Domain",
    "ExampleMean",
    "FrechetDistance",
    "InformationMaximisation",
    "KernelDistance",
    "KnownModes",
    "LogPartition",
    "MeanActivation",
    "ModeCoverage",
    "PCAReconstruction",
    "Perplexity",
    "PrecisionAndRecall",
    "PrecisionRecall",
    "PredictionEntropy",
    "ProxyADistance",
    "SampleQuality",
    "TranslationScores",
    "annealed_importance",
    "exact_log_partition",
    "signatures",
]
