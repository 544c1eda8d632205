"""Metrics that several techniques share, correct over unequal batches and several processes."""

from metrics.active_units import ActiveUnits
from metrics.example_mean import ExampleMean
from metrics.mean_activation import MeanActivation
from metrics.pca import PCAReconstruction

__all__ = ["ActiveUnits", "ExampleMean", "MeanActivation", "PCAReconstruction"]
