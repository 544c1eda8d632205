"""`--trainer.sync_batchnorm` on any device."""

from typing import Any

from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn

from networks.batch_norm import synchronise


class SyncBatchNorm(TorchSyncBatchNorm):
    """Lets the batch normalisation of a model see the batches of all processes, on the CPU as on GPUs."""

    def __init__(self) -> None:
        self._layers: list[tuple[nn.Module, Any]] = []

    def apply(self, model: nn.Module) -> nn.Module:
        """Convert the layers, once the model is on its device."""
        if any(parameter.device.type != "cpu" for parameter in model.parameters()):
            return super().apply(model)
        self._layers = synchronise(model)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Give the layers back what they were."""
        if not self._layers:
            return super().revert(model)
        for module, kind in self._layers:
            module.__class__ = kind
        return model
