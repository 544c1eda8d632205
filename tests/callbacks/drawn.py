"""Models that callbacks can draw, and what runs them."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.image import imread
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks.pictures import Pictures
from datamodules.batch import ImageBatch

IMAGES = torch.rand(48, 1, 8, 8, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255


def labelled(rows: Iterable[int]) -> ImageBatch:
    index = torch.tensor(list(rows))
    return ImageBatch(IMAGES[index], index % 3, index)


def loader(rows: range = range(48), **kwargs: Any) -> DataLoader[int]:
    return DataLoader(rows, batch_size=16, collate_fn=labelled, **kwargs)  # type: ignore[arg-type]


class Plain(LightningModule):
    """An autoencoder that callbacks can do nothing with; dropout makes its training depend on the random state."""

    def __init__(self, dim: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.2), nn.Linear(64, dim))
        self.decoder = nn.Sequential(nn.Linear(dim, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
        self.modes: list[bool] = []

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Tensor:
        return (self.decoder(self.encoder(batch.image)) - batch.image).square().mean()

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        self.log("val/total", self.training_step(batch, batch_idx))

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-2)


class Full(Plain):
    """Offers everything."""

    def note(self) -> None:
        assert not torch.is_grad_enabled()
        self.modes.append(self.training)

    def embed(self, image: Tensor) -> Tensor:
        self.note()
        return self.encoder(image)

    def decode(self, z: Tensor) -> Tensor:
        self.note()
        return self.decoder(z)

    def reconstruct(self, image: Tensor) -> Tensor:
        return self.decode(self.embed(image))

    def sample(self, n: int) -> Tensor:
        random.random()
        np.random.rand()
        return self.decode(torch.randn(n, 4))


def trainer_in(folder: Path, pictures: Pictures | None, **kwargs: Any) -> Trainer:
    settings: dict[str, Any] = {
        "max_epochs": 2,
        "logger": False,
        "callbacks": [] if pictures is None else [pictures],
        "default_root_dir": folder,
        "accelerator": "cpu",
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        **kwargs,
    }
    return Trainer(**settings)


def names(pictures: Pictures) -> list[str]:
    return [path.name for path in pictures.paths]


def pixels(path: Path) -> Tensor:
    return (torch.tensor(imread(path))[..., :3] * 255).round().to(torch.uint8)
