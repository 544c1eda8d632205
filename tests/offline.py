"""The configurations whose data come with the packages, on which every technique is put through the same tests."""

from pathlib import Path

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
