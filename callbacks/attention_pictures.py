"""Pictures of what a model attends to."""

from collections.abc import Sequence
from typing import Any

from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.attention_drawing import attention_grid
from callbacks.first_examples import FirstExamplePictures
from callbacks.text_protocols import Attending, Textual
from callbacks.undisturbed import undisturbed
from networks import rollout
from networks.tokens import PAD

MOST_TOKENS = 40  # of either axis that are drawn
SEED = 0
AXES = {"cross": ("queries: target", "keys: source")}
ROLLOUT = "rollout"  # name of the row below the layers
SAME = ("queries", "keys")  # the axes where a sequence attends to itself


class AttentionPictures(FirstExamplePictures):
    """Draws whom an ``Attending`` model attends to, into the run's ``media/`` folder and to Weights & Biases.

    There is one picture for each kind of attention that it has: ``attention_encoder.png``, ``attention_decoder.png``,
    ``attention_cross.png``. Each is of the first example of the part, by its ``index``, with a map for each layer and
    head, whose rows and columns bear the names of the tokens, if the data are ``Textual``. Padding is left out, and
    tokens behind the first 40 are. Where a sequence attends to itself, a map below those of the layers shows the
    attention rollout, which follows it through all of them. See `FirstExamplePictures` for when it draws.
    """

    def __init__(self) -> None:
        super().__init__(Attending)

    def draw(self, trainer: Trainer, model: LightningModule, rows: list[Any], prefix: str) -> None:
        """Draws one example."""
        assert isinstance(model, Attending)
        batch = move_data_to_device(rows[0], model.device)
        with undisturbed(model, SEED), trainer.precision_plugin.forward_context():
            weights, axes = model.attention(batch), model.axes(batch)
        data = getattr(trainer, "datamodule", None)
        for kind in dict.fromkeys(name.partition("/")[0] for name in weights):
            layers = {name.partition("/")[2]: part for name, part in weights.items() if name.startswith(f"{kind}/")}
            queries, keys = (tokens[0].cpu() for tokens in axes[kind])
            if queries.equal(keys):
                layers[ROLLOUT] = rollout(list(layers.values())).unsqueeze(1)
            shown = {name: part[0] for name, part in layers.items()}
            self._publish(trainer, f"{prefix}attention_{kind}", _figure(kind, shown, queries, keys, data))


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
