"""The configurations whose data come with the packages, on which every technique is put through the same tests."""

from pathlib import Path

import yaml

import datamodules
from datamodules.drawn_parts import SizedParts

CONFIGS = Path(__file__).parent.parent / "configs"
TEXTS = (
    CONFIGS / "language_model/python_docs.yaml",
    CONFIGS / "masked_language_model/python_docs.yaml",
    CONFIGS / "seq2seq/number_words.yaml",
    CONFIGS / "sequence_classifier/docstrings.yaml",
)
OFFLINE = sorted((*CONFIGS.glob("*/digits*.yaml"), *TEXTS))
"""All of them."""
FIRST = {path.parent.name: path for path in sorted((*CONFIGS.glob("*/digits.yaml"), *TEXTS))}
"""The first of each technique."""


def small(config: Path) -> list[str]:
    """What makes texts short, and data few that each launch would draw anew."""
    data = yaml.safe_load(config.read_text())["data"]
    sizes = {"context": 32} if "context" in data["init_args"] else {}
    if issubclass(getattr(datamodules, data["class_path"].rpartition(".")[2]), SizedParts):
        sizes |= {"train_size": 2000, "val_size": 100, "test_size": 100}
    return [f"--data.init_args.{name}={size}" for name, size in sizes.items()]
