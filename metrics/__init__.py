"""Metrics that several techniques share, correct over unequal batches and several processes."""

from metrics.active_units import ActiveUnits
from metrics.pca import PCAReconstruction

__all__ = ["ActiveUnits", "PCAReconstruction"]
