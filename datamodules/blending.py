"""Digits blended with photographs, as MNIST-M was made: a target domain of colour and texture."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

_CHUNK = 4096  # images subtracted at once, which bounds the memory for intermediate results


class Photographs(Protocol):
    """Photographs in a fixed order, uint8 (3, h, w) each, in sizes of their own."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Tensor: ...


def blend(digit: Tensor, photographs: Photographs | Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Blends each digit with a crop of a photograph, both drawn uniformly: |crop - digit| in every channel.

    As in section 5.2 of Ganin et al., "Domain-Adversarial Training of Neural Networks" (JMLR 2016). Each photograph is
    taken once, so that it can be decoded on the way and needs no memory afterwards.

    Args:
        digit: uint8 (N, 1, H, W).
        photographs: At least one, each at least H x W.
        generator: Of the photograph, the row and the column of each digit's crop.

    Returns:
        uint8 (N, 3, H, W).
    """
    count, _, height, width = digit.shape
    which = torch.randint(len(photographs), (count,), generator=generator)
    place = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    blended = torch.empty(count, 3, height, width, dtype=torch.uint8)
    for number in torch.unique(which).tolist():
        photograph, members = photographs[number], (which == number).nonzero().flatten()
        room = torch.tensor(photograph.shape[1:]) - torch.tensor([height, width]) + 1
        corners = (place[members] * room).long()
        for member, (top, left) in zip(members.tolist(), corners.tolist(), strict=True):
            blended[member] = photograph[:, top : top + height, left : left + width]
    for patch, ink in zip(torch.split(blended, _CHUNK), torch.split(digit, _CHUNK), strict=True):
        patch.copy_((patch.short() - ink.short()).abs())
    return blended
