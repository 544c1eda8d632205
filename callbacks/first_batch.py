"""A look at the first batch of each stage: data that are not finite are best found before they are trained on."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class FirstBatch(Callback):
    """Refuses data whose first batch, of each loader, holds values that are NaN or infinite.

    Raises:
        ValueError: from the hooks, naming the field of the batch.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Look at the first training batch."""
        self._look("training", batch)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Look at the first validation batch of each loader."""
        self._look("validation", batch, dataloader_idx)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Look at the first test batch of each loader."""
        self._look("test", batch, dataloader_idx)

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Look at the first batch to predict of each loader."""
        self._look("predict", batch, dataloader_idx)

    def _look(self, stage: str, batch: Any, loader: int = 0) -> None:
        if (stage, loader) not in self._seen:
            self._seen.add((stage, loader))
            if problems := not_finite(stage, batch):
                raise ValueError(problems[0])


def fields(batch: Any) -> dict[str, Tensor]:
    """The tensors of a batch by their names, or by their positions where they have none.

    Those of a batch within the batch have both names, as in ``source.image``.
    """
    if isinstance(batch, Tensor):
        return {"batch": batch}
    if hasattr(batch, "_asdict"):
        batch = batch._asdict()
    items = (
        batch.items() if isinstance(batch, Mapping) else enumerate(batch) if isinstance(batch, (list, tuple)) else ()
    )
    named: dict[str, Tensor] = {}
    for name, value in items:
        if isinstance(value, Tensor):
            named[str(name)] = value
        else:
            named |= {f"{name}.{inner}": tensor for inner, tensor in fields(value).items()}
    return named


def not_finite(stage: str, batch: Any) -> list[str]:
    """List the fields of a batch that hold values which are no finite numbers, one line each."""
    problems = []
    for name, values in fields(batch).items():
        if count := int((~torch.isfinite(values)).sum()):
            problems.append(
                f"data: {count} of {values.numel()} values of {name!r} in the first {stage} batch are NaN or infinite, "
                "mend the data"
            )
    return problems
