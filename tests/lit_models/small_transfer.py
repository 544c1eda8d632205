"""A small network for the digits that goes on from other weights."""

from functools import partial
from typing import Any

import torch

from lit_models import TransferClassifier
from networks import ConvClassifier, ImageShape

GREY, COLOUR = (1, 8, 8), (3, 20, 20)
SMALL = partial(ConvClassifier, channels=(4, 6), features=5)


def small(seed: int = 0, shape: tuple[int, int, int] = GREY, classes: int = 10) -> ConvClassifier:
    torch.manual_seed(seed)
    return SMALL(ImageShape(*shape), classes)


def transfer(**kwargs: Any) -> TransferClassifier:
    """A small network for the digits, with the weights of another seed where there are any."""
    torch.manual_seed(0)
    return TransferClassifier(GREY, 10, **{"backbone": SMALL, **kwargs})
