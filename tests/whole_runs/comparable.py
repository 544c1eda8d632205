"""A callback for runs whose weights are compared."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from networks import KeyedNoise


class Comparable(Callback):
    """Leaves nothing between two runs but the order of their sums: noise of the example, and batches in float64.

    With `--trainer.precision 64-true`, sums in another order differ by 1e-16 of their size. In float32 it is 1e-7,
    which Adam blows up where a gradient is nothing else, and which moves an input across the kink of a ReLU.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.noise = lambda batch: KeyedNoise(batch.index)
        data = trainer.datamodule  # type: ignore[attr-defined]
        after_transfer = data.on_after_batch_transfer

        def widened(batch: Any, dataloader_idx: int) -> Any:
            return apply_to_collection(after_transfer(batch, dataloader_idx), Tensor, _widen)

        data.on_after_batch_transfer = widened


def _widen(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
