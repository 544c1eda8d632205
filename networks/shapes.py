"""The shape of one image, passed from the data to every network that needs a size."""

from typing import NamedTuple


class ImageShape(NamedTuple):
    """Channels, height and width of one image, in this order; height and width in pixels."""

    channels: int
    height: int
    width: int

    @property
    def numel(self) -> int:
        """Number of values in one image, C * H * W."""
        return self.channels * self.height * self.width
