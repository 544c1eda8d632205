"""Parts of data that are drawn when they are asked for, in the sizes that are asked for."""

from abc import abstractmethod
from typing import Any

import torch

from datamodules.resumable import ExamplesT, ResumableDataModule, at_least
from datamodules.seeding import derive_seed

_TRAIN, _VAL, _TEST = range(3)  # streams of the parts, so that they are drawn independently


class SizedParts(ResumableDataModule[ExamplesT]):
    """Data that are made, as many as are wanted.

    It stands before the base class that says what kind of data they are.

    Args:
        train_size: Training examples.
        val_size: Validation examples; 0 for none.
        test_size: Test examples.
        split_seed: Seed of the examples; not `seed`, so that runs with different seeds share them.
        **kwargs: See `ResumableDataModule`.

    Raises:
        ValueError: If a size is impossible.
    """

    def __init__(
        self,
        *,
        train_size: int = 20_000,
        val_size: int = 1_000,
        test_size: int = 1_000,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        at_least(1, train_size=train_size, test_size=test_size)
        at_least(0, val_size=val_size)
        self.train_size = train_size
        self.val_size: int = val_size
        self.test_size = test_size
        self.split_seed = split_seed

    def generator(self, *keys: int) -> torch.Generator:
        """Makes the generator of a draw.

        Args:
            *keys: Which of the independent draws under `split_seed` is wanted.
        """
        return torch.Generator().manual_seed(derive_seed(self.split_seed, *keys))


class DrawnParts(SizedParts[ExamplesT]):
    """Data of which each part is drawn independently of the others."""

    @abstractmethod
    def draw(self, size: int, stream: int) -> ExamplesT:
        """Draws examples.

        Args:
            size: Number of examples.
            stream: Which of the independent draws under `split_seed` is wanted.
        """

    def load_training(self) -> tuple[ExamplesT, ExamplesT | None]:
        """Draws the training and the validation part."""
        validation = self.draw(self.val_size, _VAL) if self.val_size else None
        return self.draw(self.train_size, _TRAIN), validation

    def load_test(self) -> ExamplesT:
        """Draws the test part."""
        return self.draw(self.test_size, _TEST)
