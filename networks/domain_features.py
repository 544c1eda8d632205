"""Feature extractors that two domains share."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import nn

from networks.activations import Activation, initialise
from networks.mlp import checked_widths, hidden_layers


class ConvFeatures(nn.Sequential):
    """Stages of convolution, ReLU and 2x2 pooling, then fully connected layers with a ReLU each.

    By default the features for MNIST of Ganin et al., "Domain-Adversarial Training of Neural Networks" (2016), figure
    4a: 768 of them from 28x28 pixels, the fully connected layers belonging to the classes.

    Args:
        data_shape: (C, H, W) of the images; supplied by the model.
        channels: output channels of each stage, from the image inwards.
        kernel: height and width of the convolutions.
        padding: zeros around each image and feature map before it is convolved.
        batch_norm: normalise before each ReLU. Without it the weights begin as in He et al. (2015).
        hidden: widths of the fully connected layers, from the image inwards.

    Attributes:
        out_features: number of features.

    Raises:
        ValueError: if the data are no images or too small for the stages, or a size is impossible.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        channels: Sequence[int] = (32, 48),
        kernel: int = 5,
        padding: int = 0,
        batch_norm: bool = False,
        hidden: Sequence[int] = (),
    ) -> None:
        if len(data_shape) != 3:
            raise ValueError(f"data_shape is {tuple(data_shape)}: only images can be convolved, choose MLPFeatures")
        if not channels or min(channels) < 1:
            raise ValueError(f"channels is {list(channels)}: give at least one stage, every stage at least one channel")
        if kernel < 1:
            raise ValueError(f"kernel is {kernel}: a convolution covers at least one pixel")
        if padding < 0:
            raise ValueError(f"padding is {padding}: it is a number of pixels, at least 0")
        colours, *size = data_shape
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([colours, *channels]):
            layers += [
                nn.Conv2d(narrow, wide, kernel, padding=padding, bias=not batch_norm),  # the normalisation has a bias
                *([nn.BatchNorm2d(wide)] if batch_norm else []),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            size = [(length + 2 * padding - kernel + 1) // 2 for length in size]
            if min(size) < 1:
                raise ValueError(
                    f"data_shape is {tuple(data_shape)}: too small for {len(channels)} stages with kernel {kernel} "
                    f"and padding {padding}, give fewer channels or a larger padding"
                )
        widths = [channels[-1] * prod(size), *checked_widths(hidden)]
        super().__init__(*layers, nn.Flatten(), *hidden_layers(widths, "relu", batch_norm))
        if not batch_norm:  # with PyTorch's own initial weights the signal fades, and plain SGD takes long to find it
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    initialise(layer, "relu")
        self.out_features = widths[-1]


class MLPFeatures(nn.Sequential):
    """Hidden layers with an activation each, for points, or for images as long rows.

    Args:
        data_shape: of one example; supplied by the model.
        hidden: widths of the layers from the example inwards; the last is the number of features.
        activation: after each layer, the last one too.
        batch_norm: normalise before each activation.

    Attributes:
        out_features: number of features.

    Raises:
        ValueError: if there is no layer, or one without units.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "relu",
        batch_norm: bool = False,
    ) -> None:
        if not hidden:
            raise ValueError("hidden is []: features need at least one layer to bring the domains together")
        widths = [prod(data_shape), *checked_widths(hidden)]
        super().__init__(nn.Flatten(), *hidden_layers(widths, activation, batch_norm))
        self.out_features = widths[-1]


def default_features(data_shape: Sequence[int]) -> nn.Module:
    """Network of features of images, (C, H, W), or of points, (D,)."""
    return ConvFeatures(data_shape) if len(data_shape) == 3 else MLPFeatures(data_shape)


def width_of(extractor: nn.Module, data_shape: tuple[int, ...]) -> int:
    """Number of features that a network has of an example.

    Raises:
        ValueError: if it gives anything but one row of them.
    """
    training = extractor.training
    with torch.no_grad():
        feature = extractor.eval()(torch.zeros(1, *data_shape))
    extractor.train(training)
    if feature.ndim != 2:
        raise ValueError(
            f"extractor gives {tuple(feature.shape[1:])} for an example of {data_shape}: end it in nn.Flatten()"
        )
    return int(feature.shape[1])
