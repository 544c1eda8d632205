"""A model that keeps the batches it gets, and a checkpoint in the midst of them."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class Recorder(LightningModule):
    """Keeps every batch as the model gets it, those of an evaluation with the place of their loader."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Any] = []
        self.evaluated: list[tuple[int, Any]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen.append(batch)
        return self.weight

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluated.append((dataloader_idx, batch))

    test_step = validation_step

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return batch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveMidway(Callback):
    """Saves after so many training batches."""

    def __init__(self, folder: Path, after: int) -> None:
        self.path, self.after = folder / "midway.ckpt", after

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *details: Any) -> None:
        if trainer.global_step == self.after:
            trainer.save_checkpoint(self.path)
