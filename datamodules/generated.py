"""Images that a model has made, as the command `sample` writes them."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from networks.shapes import ImageShape

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile)


def read_generated(path: Path, shape: ImageShape, num_classes: int) -> tuple[Tensor, Tensor]:
    """Reads labelled images from an `.npz` file.

    Args:
        path: A file with `sample`, float (N, C, H, W) in [0, 1], and `label`, integers (N,).
        shape: What each image has to be.
        num_classes: Number of classes; labels have to be below it.

    Returns:
        Images, uint8 (N, C, H, W), and labels, int64 (N,).

    Raises:
        ValueError: If the file cannot be read or does not fit.
    """
    place = f"generated={str(path)!r}"
    if not path.is_file():
        raise ValueError(f"{place} is no file: give the samples.npz that the command sample wrote")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("sample", "label") if name in file}
    except _UNREADABLE:
        raise ValueError(f"{place} cannot be read, it is no .npz of plain arrays: write it with sample") from None
    if "sample" not in arrays:
        raise ValueError(f"{place} has no 'sample': give the samples.npz that the command sample wrote")
    if "label" not in arrays:
        raise ValueError(f"{place} has no 'label': sample from a class-conditional model")
    sample, label = torch.from_numpy(arrays["sample"]), torch.from_numpy(arrays["label"])
    if tuple(sample.shape[1:]) != tuple(shape) or not sample.is_floating_point():
        raise ValueError(
            f"{place} holds {sample.dtype} {tuple(sample.shape)} instead of float images of {tuple(shape)}: "
            "set image_size and grayscale as in the run that made them"
        )
    if not bool(((sample >= 0) & (sample <= 1)).all()):
        raise ValueError(f"{place} holds values outside [0, 1]: scale its images")
    if label.shape != sample.shape[:1] or label.is_floating_point():
        raise ValueError(
            f"{place} has labels {label.dtype} {tuple(label.shape)} for {len(sample)} images: give each one integer"
        )
    if len(label) and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
        raise ValueError(
            f"{place} has labels from {int(label.min())} to {int(label.max())} for {num_classes} classes: "
            "sample from a model of these data"
        )
    return sample.float().mul(255).round().to(torch.uint8), label.long()
