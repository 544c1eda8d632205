"""Pictures of which patches of an image a model attends to."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import INK
from callbacks.first_examples import FirstExamplePictures
from callbacks.protocols import PatchAttending
from callbacks.tile_drawing import Tile, tile, tile_sheet
from callbacks.undisturbed import undisturbed
from networks import PatchAttention, rollout

IMAGES = 3  # most that are drawn
ROWS = 16  # of the picture, unless one image needs more
SEED = 0


class ImageAttentionPictures(FirstExamplePictures):
    """Draws ``attention_image.png`` of a ``PatchAttending`` model.

    It shows the first images of the part, with a row for each layer: the patches that each head attends to, and the
    attention rollout through this layer and all below. They are those of the class token, or where there is none means
    over all patches, laid over the image in colours.

    A batch whose ``x`` is no images, and a network that reads no patches, gets none. See `FirstExamplePictures` for
    when it draws.
    """

    def __init__(self) -> None:
        super().__init__(PatchAttending, IMAGES)

    def draw(self, trainer: Trainer, model: LightningModule, rows: list[Any], prefix: str) -> None:
        """Draws the images."""
        assert isinstance(model, PatchAttending)
        x = getattr(rows[0], "x", None)
        if not isinstance(x, Tensor) or x.ndim != 4:
            return
        image = torch.cat([row.x for row in rows])
        with undisturbed(model, SEED), trainer.precision_plugin.forward_context():
            attention = model.patch_attention(image.to(model.device))
        if attention is not None:
            index = [int(row.index) for row in rows]
            self._publish(trainer, f"{prefix}attention_image", attention_sheet(image, index, attention))


def attention_sheet(image: Tensor, index: list[int], attention: PatchAttention) -> Figure:
    """Draws attention over images.

    Args:
        image: float (B, C, H, W) in [0, 1].
        index: of each in its part of the data.
        attention: of them.
    """
    layers = len(attention.layers)
    heads = [attention.heat(weights) for weights in attention.layers]  # (B, heads, h, w) each
    through = [attention.heat(rollout(attention.layers[: layer + 1])) for layer in range(layers)]  # (B, h, w) each
    sections: dict[str, list[list[Tile]]] = {}
    for place in range(min(len(image), max(1, ROWS // layers))):
        sections[f"Image {index[place]}"] = [
            [
                tile(image[place], (f"layer {layer + 1}", INK)),
                *(
                    tile(image[place], (f"head {head}", INK), heat=heat)
                    for head, heat in enumerate(heads[layer][place], 1)
                ),
                tile(image[place], ("rollout", INK), heat=through[layer][place]),
            ]
            for layer in range(layers)
        ]
    who = "Attention of the class token" if attention.prefix else "Mean attention of all patches"
    return tile_sheet(f"{who}, each map relative to its own largest weight", sections)
