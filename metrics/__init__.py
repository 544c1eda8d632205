"""Metrics that several techniques share, correct over unequal batches and several processes."""

from metrics.active_units import ActiveUnits
from metrics.mean_activation import MeanActivation
from metrics.pca import PCAReconstruction

__all__ = ["ActiveUnits", "MeanActivation", "PCAReconstruction"]
