"""A model between two domains, and data of two domains, that callbacks can watch."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler

from datamodules.batch import ImageBatch, PointBatch, UnlabelledImageBatch


class Unlabelled(NamedTuple):
    point: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index

    @property
    def x(self) -> Tensor:
        return self.point


class Pair(NamedTuple):
    source: PointBatch | ImageBatch
    target: Unlabelled | UnlabelledImageBatch


class Blobs(LightningDataModule):
    """Three classes around three centres, which the target has turned by half a right angle; or 3 x 2 images of them.

    Args:
        examples: of each domain in each part, the target has 5 fewer.
        images: whether the examples are images.
        batch_size: of all loaders.
    """

    class_names = ("red", "green", "blue")

    def __init__(self, examples: int = 45, images: bool = False, batch_size: int = 16) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.images, self.batch_size = images, batch_size
        self.labels = torch.arange(examples) % 3
        angle = self.labels * 2 * torch.pi / 3
        parts = []
        for turn in (0.0, torch.pi / 4):
            centres = torch.stack([(angle + turn).cos(), (angle + turn).sin()], dim=1)
            parts.append(2 * centres + 0.5 * torch.randn(examples, 2, generator=generator))
        self.source, self.target = parts[0], parts[1][: examples - 5]

    def labelled(self, x: Tensor, rows: Tensor) -> PointBatch | ImageBatch:
        batch = ImageBatch if self.images else PointBatch
        return batch(self.shaped(x[rows]), self.labels[rows], rows)

    def unlabelled(self, rows: Tensor) -> Unlabelled | UnlabelledImageBatch:
        batch = UnlabelledImageBatch if self.images else Unlabelled
        return batch(self.shaped(self.target[rows]), rows)

    def shaped(self, x: Tensor) -> Tensor:
        return (x / 6 + 0.5).clamp(0, 1).repeat(1, 3).view(-1, 1, 3, 2) if self.images else x

    def loader(self, examples: int, collate: Any) -> DataLoader[int]:
        rows: Any = range(examples)
        trainer = self.trainer
        sampler = DistributedSampler(rows, shuffle=False) if trainer and trainer.world_size > 1 else None
        return DataLoader(
            rows, self.batch_size, sampler=sampler, collate_fn=lambda chosen: collate(torch.tensor(chosen))
        )

    def train_dataloader(self) -> Any:
        return self.loader(len(self.target), lambda rows: Pair(self.labelled(self.source, rows), self.unlabelled(rows)))

    def val_dataloader(self) -> Any:
        return [
            self.loader(len(self.source), lambda rows: self.labelled(self.source, rows)),
            self.loader(len(self.target), self.unlabelled),
        ]

    def test_dataloader(self) -> Any:
        return [self.loader(len(x), lambda rows, x=x: self.labelled(x, rows)) for x in (self.source, self.target)]

    def oracle_labels(self) -> Tensor:
        if self.trainer is None or self.trainer.state.fn != TrainerFn.TESTING:
            raise ValueError("oracle_labels is for tests")
        return self.labels[: len(self.target)]


class SourceModel(LightningModule):
    """Learns the source, with dropout, so that its training depends on the random state."""

    domains = ("source", "target")

    def __init__(self, inputs: int = 2) -> None:
        super().__init__()
        self.extractor = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 8), nn.Tanh(), nn.Dropout(0.1))
        self.classifier = nn.Linear(8, 3)
        self.modes: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.modes.add(self.training)
        return self.classifier(self.extractor(x))

    def training_step(self, batch: Pair, batch_idx: int) -> Tensor:
        logits = self.classifier(self.extractor(batch.source.x))
        return nn.functional.cross_entropy(logits, batch.source.label)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        feature = self.extractor(batch.x)
        told = {"label": batch.label} if hasattr(batch, "label") else {}
        return {"feature": feature, "predicted": self.classifier(feature).argmax(1), "index": batch.index, **told}

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.05)


def trainer_in(folder: Path, *callbacks: Callback, **kwargs: Any) -> Trainer:
    settings: dict[str, Any] = {
        "max_epochs": 3,
        "logger": False,
        "accelerator": "cpu",
        "devices": 1,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        **kwargs,
    }
    return Trainer(default_root_dir=folder, callbacks=list(callbacks), **settings)
