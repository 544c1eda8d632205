"""Pictures of what a model attends to."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.attention_drawing import attention_grid
from callbacks.publishing import DrawingCallback
from callbacks.text_protocols import Attending, Textual
from callbacks.undisturbed import undisturbed
from networks.tokens import PAD

MOST_TOKENS = 40  # of either axis that are drawn
SEED = 0
AXES = {"cross": ("queries: target", "keys: source")}
SAME = ("queries", "keys")  # the axes where a sequence attends to itself


class AttentionPictures(DrawingCallback):
    """Draws whom an ``Attending`` model attends to, into the run's ``media/`` folder and to Weights & Biases.

    There is one picture for each kind of attention that it has: ``attention_encoder.png``, ``attention_decoder.png``,
    ``attention_cross.png``. Each is of the first example of the part, by its ``index``, with a map for each layer and
    head, whose rows and columns bear the names of the tokens, if the data are ``Textual``. Padding is left out, and
    tokens behind the first 40 are.

    It draws when training ends, from the last validation, and after a validation or test of its own; pictures of test
    data are named ``test_*.png``. Only the process of rank zero draws, from its own share of the data. The model is
    left as it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batch: Any = None  # of one example, on the host

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts anew."""
        self._batch = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first example of the first loader."""
        if not trainer.is_global_zero or dataloader_idx > 0 or not isinstance(pl_module, Attending):
            return
        place = int(batch.index.argmin())
        if self._batch is None or int(batch.index[place]) < int(self._batch.index):
            self._batch = _row(batch, place)

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
        if self._batch is None:
            return
        assert isinstance(model, Attending)
        batch = move_data_to_device(self._batch, model.device)
        with undisturbed(model, SEED), trainer.precision_plugin.forward_context():
            weights, axes = model.attention(batch), model.axes(batch)
        data = getattr(trainer, "datamodule", None)
        for kind in dict.fromkeys(name.partition("/")[0] for name in weights):
            layers = {name.partition("/")[2]: part[0] for name, part in weights.items() if name.startswith(f"{kind}/")}
            rows, columns = (tokens[0].cpu() for tokens in axes[kind])
            self._publish(trainer, f"{prefix}attention_{kind}", _figure(kind, layers, rows, columns, data))


def _figure(kind: str, layers: dict[str, Tensor], rows: Tensor, columns: Tensor, data: Any) -> Figure:
    """Draws float (H, T, S) of each layer, of tokens that attend, (T,), to others, (S,)."""
    there = [(tokens != PAD).nonzero().squeeze(1) for tokens in (rows, columns)]
    down, across = (places[:MOST_TOKENS] for places in there)
    shown = {name: weights.cpu()[:, down][:, :, across] for name, weights in layers.items()}
    row_names, column_names = _names(data, rows[down]), _names(data, columns[across])
    title = f"{kind.capitalize()} attention"
    if longest := max((len(places) for places in there if len(places) > MOST_TOKENS), default=0):
        title += f": the first {MOST_TOKENS} of {longest} tokens"
    return attention_grid(shown, row_names, column_names, title, AXES.get(kind, SAME))


def _names(data: Any, tokens: Tensor) -> Sequence[str]:
    return data.token_names(tokens) if isinstance(data, Textual) else [str(token) for token in tokens.tolist()]


def _row(batch: Any, place: int) -> Any:
    """A batch of one of its examples, on the host."""
    values = batch._asdict()
    return type(batch)(
        **{
            name: value[place : place + 1].detach().cpu() if isinstance(value, torch.Tensor) else value
            for name, value in values.items()
        }
    )
