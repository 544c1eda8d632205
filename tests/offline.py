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
    """What makes data small that would be drawn in numbers, as each launch draws them anew."""
    chosen = yaml.safe_load(config.read_text())["data"]["class_path"]
    if not issubclass(getattr(datamodules, chosen.rpartition(".")[2]), SizedParts):
        return []
    return [f"--data.init_args.{part}_size={size}" for part, size in (("train", 2000), ("val", 100), ("test", 100))]
