"""A model that is trained in phases, of one epoch each until the last, and logs numbers that a test can foresee."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.utils.data import DataLoader


class InPhases(LightningModule):
    """Two layers and a readout, then the whole, whose ``val/total`` rises by 1 an epoch."""

    def __init__(self, phases: Sequence[str] = ("layer1", "layer2", "readout")) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.phase: str | None = None
        self.phases = phases

    @property
    def pretrains(self) -> bool:
        return self.phase in self.phases

    def on_train_epoch_start(self) -> None:
        self.phase = self.phases[self.current_epoch] if self.current_epoch < len(self.phases) else "fine_tuning"

    def on_fit_end(self) -> None:
        self.phase = None

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        number = float(self.current_epoch + 1)
        if self.phase == "readout":
            self.log_dict({"pretrain/readout/total": number, "pretrain/readout/accuracy": 0.5})
        elif self.pretrains:
            self.log_dict({f"pretrain/{self.phase}/loss": number, f"pretrain/{self.phase}/reconstruction": 10 * number})
        else:
            self.log_dict({"train/total": number, "train/accuracy": 0.75})
        return self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        number = float(self.current_epoch + 1)
        if self.phase == "readout":
            self.log_dict({"pretrain/readout/val_total": number + 0.5, "pretrain/readout/val_accuracy": 0.25})
        elif self.pretrains:
            prefix = f"pretrain/{self.phase}"
            self.log_dict({f"{prefix}/val_reconstruction": 10 * number + 1, f"{prefix}/free_energy_gap": -number})
        else:
            self.log_dict({"val/total": number + 0.5, "val/accuracy": 0.625})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def fit_in_phases(
    folder: Path, callbacks: Sequence[Callback], epochs: int, model: InPhases | None = None, **kwargs: Any
) -> Trainer:
    """Trains on two batches an epoch, and validates with one."""
    data: DataLoader[Tensor] = DataLoader(torch.zeros(2, 1), batch_size=1)  # type: ignore[arg-type]
    settings: dict[str, Any] = {
        "default_root_dir": folder,
        "logger": False,
        "accelerator": "cpu",
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 1,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        **kwargs,
    }
    trainer = Trainer(callbacks=list(callbacks), max_epochs=epochs, **settings)
    trainer.fit(model or InPhases(), data, data)
    return trainer
