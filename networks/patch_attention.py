"""What the patches of an image attend to."""

from typing import NamedTuple

from torch import Tensor, nn

from networks.attention import recorded_attention
from networks.vision_transformer import PatchEncoder


class PatchAttention(NamedTuple):
    """Weights of attention between patches, and where these are.

    Attributes:
        layers: weights (B, H, T, T) of each layer from the lowest up; T is prefix + h * w.
        grid: patches of an image downwards and across, (h, w).
        prefix: number of tokens before those of the patches.
    """

    layers: list[Tensor]
    grid: tuple[int, int]
    prefix: int

    def heat(self, weights: Tensor) -> Tensor:
        """What the class token attends to, or where there is none the mean of all patches, laid out as the image.

        Args:
            weights: (..., T, T), one of `layers` or what was made of them.

        Returns:
            (..., h, w).
        """
        looks = weights[..., 0, :] if self.prefix else weights.mean(-2)
        return looks[..., self.prefix :].reshape(*looks.shape[:-1], *self.grid)


def patch_attention(network: nn.Module, image: Tensor) -> PatchAttention | None:
    """Record the attention of the first `PatchEncoder` in a network.

    Args:
        network: called on images.
        image: (B, C, H, W).

    Returns:
        The weights in float32; None if there is no such encoder.
    """
    encoder = next((part for part in network.modules() if isinstance(part, PatchEncoder)), None)
    if encoder is None:
        return None
    with recorded_attention(encoder) as maps:
        network(image)
    return PatchAttention(list(maps.values()), encoder.grid, encoder.prefix)
