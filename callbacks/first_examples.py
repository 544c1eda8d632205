"""Pictures of the first examples of an evaluation."""

from abc import abstractmethod
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from callbacks.publishing import DrawingCallback


class FirstExamplePictures(DrawingCallback):
    """Draws the first examples of the validation or test part, by their ``index``.

    It draws when training ends, from the last validation, and after a validation or test of its own; pictures of test
    data are named ``test_*.png``. Only the process of rank zero draws, from its own share of the data.

    A subclass implements `draw`.

    Args:
        protocol: of the models that are drawn.
        examples: how many.
    """

    def __init__(self, protocol: type, examples: int = 1) -> None:
        super().__init__()
        self._protocol = protocol
        self._examples = examples
        self._rows: dict[int, Any] = {}  # index to a batch of that example, on the host

    @abstractmethod
    def draw(self, trainer: Trainer, model: LightningModule, rows: list[Any], prefix: str) -> None:
        """Draws and publishes.

        Args:
            trainer: the run.
            model: what is drawn, which has to be left as it was.
            rows: the examples, a batch of each, on the host.
            prefix: of the name of each picture.
        """
        raise NotImplementedError

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts anew."""
        self._rows = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first examples of the first loader."""
        if not trainer.is_global_zero or dataloader_idx > 0 or not isinstance(pl_module, self._protocol):
            return
        places = batch.index.argsort()[: self._examples].tolist()
        known = {**self._rows, **{int(batch.index[place]): place for place in places}}
        first = sorted(known)[: self._examples]
        self._rows = {index: self._rows[index] if index in self._rows else _row(batch, known[index]) for index in first}

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the validation data, if this validation was all that was asked for."""
        if trainer.state.fn != TrainerFn.FITTING:
            self._draw(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the test data."""
        self._draw(trainer, pl_module, prefix="test_")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the trained model."""
        self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, model: LightningModule, prefix: str = "") -> None:
        if self._rows:
            self.draw(trainer, model, list(self._rows.values()), prefix)


def _row(batch: Any, place: int) -> Any:
    """A batch of one of its examples, on the host."""
    values = batch._asdict()
    return type(batch)(
        **{
            name: value[place : place + 1].detach().cpu() if isinstance(value, torch.Tensor) else value
            for name, value in values.items()
        }
    )
