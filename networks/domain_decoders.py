"""What gives back an example from features, whatever the example is."""

from collections.abc import Sequence

from torch import nn

from networks.convolutional import ConvDecoder
from networks.mlp import MLPDecoder
from networks.shapes import ImageShape


def domain_decoder(in_features: int, data_shape: Sequence[int]) -> nn.Module:
    """`ConvDecoder` for images, `MLPDecoder` for points, both with unbounded output.

    Args:
        in_features: number of features.
        data_shape: (C, H, W) or (D,).
    """
    if len(data_shape) == 3:
        return ConvDecoder(in_features, ImageShape(*data_shape))
    return MLPDecoder(in_features, data_shape)
