from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from sklearn.datasets import load_digits
from small_transfer import small
from torch.optim import Adam

from datamodules import ImageBatch
from lit_models import (
    IWAE,
    VAE,
    Autoencoder,
    Classifier,
    DeepBeliefNetwork,
    DenoisingAutoencoder,
    MaskedAutoencoder,
    SparseAutoencoder,
    StackedClassifier,
    Technique,
    TransferClassifier,
    ViT,
)
from networks import (
    AutoencoderLayer,
    BinaryRBM,
    ConvClassifier,
    MaskedDecoder,
    MLPDecoder,
    MLPEncoder,
    PatchEncoder,
    VisionTransformer,
)

SHAPE = (1, 8, 8)
TINY: dict[str, Any] = {"encoder": partial(MLPEncoder, hidden=(32,)), "decoder": partial(MLPDecoder, hidden=(32,))}
ARGUMENTS: dict[type[Technique], dict[str, Any]] = {
    Autoencoder: {**TINY, "latent_dim": 8},
    SparseAutoencoder: {**TINY, "latent_dim": 24},
    DenoisingAutoencoder: {**TINY, "latent_dim": 16},
    MaskedAutoencoder: {
        "encoder": partial(PatchEncoder, patch_size=2, dim=24, heads=2, layers=2),
        "decoder": partial(MaskedDecoder, dim=16, heads=2),
    },
    VAE: {**TINY, "latent_dim": 4, "nll_samples": 16},
    IWAE: {**TINY, "latent_dim": 4, "nll_samples": 16, "samples": 3},
    Classifier: {"num_classes": 10, "network": partial(ConvClassifier, channels=(8, 16), features=16)},
    TransferClassifier: {"num_classes": 10, "backbone": partial(ConvClassifier, channels=(8, 16), features=16)},
    ViT: {"num_classes": 10, "network": partial(VisionTransformer, patch_size=2, dim=32, heads=2, layers=2)},
    StackedClassifier: {
        "num_classes": 10,
        "layers": [partial(AutoencoderLayer, units=32), partial(AutoencoderLayer, units=24)],
        "optimizer": partial(Adam, lr=0.02),  # sigmoids learn slowly from random weights
    },
    DeepBeliefNetwork: {
        "num_classes": 10,
        "layers": [partial(BinaryRBM, units=32), partial(BinaryRBM, units=24)],
        "gibbs_steps": 5,
        "ais_chains": 10,
        "ais_temperatures": 20,
        "optimizer": partial(Adam, lr=0.02),
    },
}


@pytest.fixture(params=ARGUMENTS, ids=lambda technique: technique.__name__)
def technique(request: pytest.FixtureRequest) -> type[Technique]:
    """Each technique in turn."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def build() -> Callable[..., Any]:
    """Makes a small model of a class for the digits, the same one every time."""

    def make(technique: type[Technique], **kwargs: Any) -> Technique:
        torch.manual_seed(0)
        return technique(SHAPE, **{"optimizer": partial(Adam, lr=3e-3), **ARGUMENTS[technique], **kwargs})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Makes a quiet Trainer for one process on the CPU."""

    def make(**kwargs: Any) -> Trainer:
        quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        settings = dict.fromkeys(quiet, False) | {"accelerator": "cpu", "devices": 1, "default_root_dir": tmp_path}
        return Trainer(**{**settings, "use_distributed_sampler": False, **kwargs})

    return make


@pytest.fixture(scope="session")
def batch() -> ImageBatch:
    """The first 200 digits."""
    images, labels = load_digits(return_X_y=True)
    image = torch.from_numpy(images[:200]).float().div(16).view(-1, *SHAPE)
    return ImageBatch(image, torch.from_numpy(labels[:200]), torch.arange(200))


@pytest.fixture
def attached(build: Callable[..., Any], make_trainer: Callable[..., Trainer]) -> Callable[..., Any]:
    """Makes a small model that knows a Trainer, which the sparse one asks about other processes."""

    def make(technique: type[Technique], **kwargs: Any) -> Technique:
        model: Technique = build(technique, **kwargs)
        model.trainer = make_trainer()
        return model

    return make


@pytest.fixture
def given(tmp_path: Path) -> str:
    """A file of weights of the small network, for three classes."""
    torch.save(small(1, classes=3).state_dict(), tmp_path / "given.pth")
    return str(tmp_path / "given.pth")
