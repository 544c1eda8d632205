"""Codes of whole parts of the data, computed as a step of the Trainer would."""

from collections.abc import Callable, Iterable, Iterator

import torch
from lightning.pytorch import Trainer
from torch import Tensor


def encoded(trainer: Trainer, encode: Callable[[Tensor], Tensor], images: Iterable[Tensor]) -> Iterator[Tensor]:
    """Encode images on the Trainer's device and in its precision, without gradients.

    Args:
        trainer: that the model belongs to.
        encode: what the model makes of images; the modules that it uses are in eval mode.
        images: float32 (B, C, H, W) in [0, 1], batch by batch.

    Yields:
        Codes (B, D) of each batch, on the device.
    """
    for image in images:
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            codes = encode(trainer.precision_plugin.convert_input(image.to(trainer.strategy.root_device)))
        yield codes


def joined(codes: Iterable[Tensor], room_gb: float) -> Tensor | None:
    """All codes as one tensor, (N, D), or nothing if they take more than `room_gb` of 10^9 bytes.

    No more of them are asked for than fit.
    """
    kept, room = [], room_gb * 1e9
    for some in codes:
        room -= some.nbytes
        if room < 0:
            return None
        kept.append(some)
    return torch.cat(kept)
