"""Models of configurations, as they are before any training."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning import LightningDataModule
from offline import CONFIGS, FIRST
from torch.nn.modules.batchnorm import _BatchNorm

import cli

EXPORTED = {
    **FIRST,
    "gan of points": CONFIGS / "gan/ring.yaml",
    "conditional gan": CONFIGS / "gan/mnist_conditional.yaml",
    "adaptation of points": CONFIGS / "dann/moons.yaml",
    "images resized": CONFIGS / "transfer/usps.yaml",
    "recurrent language model": CONFIGS / "language_model/recall_lstm.yaml",
    "recurrent seq2seq": CONFIGS / "seq2seq/number_words_lstm.yaml",
}
"""The first configuration of each technique, and those that take or compute something of another kind."""


def shallow(config: Path) -> list[str]:
    """Flags that leave one layer of a stack, which is as hard to export as many."""
    network = (yaml.safe_load(config.read_text())["model"].get("init_args") or {}).get("network") or {}
    layers = [
        name
        for name in ("layers", "decoder_layers")
        if isinstance(network, dict) and name in network.get("init_args", {})
    ]
    return [f"--model.init_args.network.init_args.{name}=1" for name in layers]


def untrained(config: Path, folder: Path, *words: str) -> tuple[Any, LightningDataModule]:
    """Builds the model and the data of a configuration on the CPU; normalisations have seen something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli.EspalierCLI, "fit", lambda self, **kwargs: None)
        main = cli.main(
            ["fit", f"--config={config}", f"--run.dir={folder}", "--trainer.accelerator=cpu", *shallow(config), *words]
        )
    for layer in main.model.modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None and layer.running_var is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return main.model.eval().requires_grad_(False), main.datamodule
