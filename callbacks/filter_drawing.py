"""A figure of the weights of units that look at whole images."""

from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import sample_panel


def filter_panel(filters: Tensor, columns: int) -> Figure:
    """Draws weights as images in which mid-grey is 0, each scaled by its own largest absolute weight.

    The pattern of a unit can be seen however small its weights are; how large they are cannot.

    Args:
        filters: (units, C, H, W), unbounded. With 3 or more channels the first three are red, green and blue, scaled
            together; with fewer the first is grey.
        columns: units in a row.
    """
    assert filters.ndim == 4, f"expected (units, C, H, W), got {tuple(filters.shape)}"
    filters = filters.detach().float()
    filters = filters[:, :3] if filters.shape[1] >= 3 else filters[:, :1]
    largest = filters.abs().amax(dim=(1, 2, 3), keepdim=True)
    return sample_panel(0.5 + filters / largest.clamp(min=1e-30) / 2, columns)
