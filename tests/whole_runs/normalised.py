"""A network with batch normalisation in one and in two dimensions."""

from torch import nn

from networks import ImageShape


class NormalisedEncoder(nn.Sequential):
    def __init__(self, image_shape: ImageShape, out_features: int) -> None:
        super().__init__(
            nn.Conv2d(image_shape.channels, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.Flatten(),
            nn.BatchNorm1d(4 * image_shape.height * image_shape.width, momentum=None),
            nn.ReLU(),
            nn.Linear(4 * image_shape.height * image_shape.width, out_features),
        )
