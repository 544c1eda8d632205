"""From picture files of any size and mode to uint8 tensors of one shape."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from networks.shapes import ImageShape

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File name endings, in lower case, that are taken for pictures."""

# What Pillow raises for files that are not what they pretend to be; zlib.error and struct.error are not wrapped by
# all of its plug-ins, and UnidentifiedImageError is an OSError.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def is_picture(path: Path) -> bool:
    """Tells whether a path is a visible file with the name of a picture."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def pictures_under(folder: Path) -> list[Path]:
    """Lists the pictures in a folder and in those below it, in the order of their paths; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if is_picture(path) and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def decode_whole(path: Path) -> Tensor:
    """Decodes one picture in its own size, see `decode_image`.

    Args:
        path: The file.

    Returns:
        RGB, uint8 (3, H, W).

    Raises:
        ValueError: If it cannot be decoded.
    """
    try:
        pixels = np.array(_open(path, "RGB"), dtype=np.uint8)
    except _UNREADABLE:
        raise ValueError(f"cannot read the picture {str(path)!r}: mend or remove it") from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


def decode_image(path: Path, shape: ImageShape) -> Tensor:
    """Decodes one picture.

    The picture is turned upright if its EXIF data ask for it, transparent parts become white, 16-bit grey becomes 8-bit
    (65,535 becomes 255), of an animation the first frame is taken. Then it is resized, with antialiasing, until it
    covers the wanted size, and its middle is cut out.

    Args:
        path: The file.
        shape: The wanted shape; one channel means grey (ITU-R 601-2 luma), three mean RGB.

    Returns:
        uint8 (C, H, W).

    Raises:
        OSError: If the file cannot be read or is not a picture; other errors of Pillow's occur with broken files.
    """
    converted = _open(path, "L" if shape.channels == 1 else "RGB")
    fitted = ImageOps.fit(converted, (shape.width, shape.height), Image.Resampling.BILINEAR)
    pixels = np.array(fitted, dtype=np.uint8).reshape(shape.height, shape.width, shape.channels)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _open(path: Path, mode: str) -> Image.Image:
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith("I"):
            wide = np.asarray(upright, dtype=np.float32)
            upright = Image.fromarray((wide / 257).round().clip(0, 255).astype(np.uint8))
        elif upright.mode == "F":
            raise ValueError("floating-point pictures have no agreed range")
        elif upright.has_transparency_data:
            foreground = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", foreground.size, "white"), foreground)
        return upright.convert(mode)


def decode_images(paths: Sequence[Path], shape: ImageShape) -> Tensor:
    """Decodes pictures on several threads.

    Args:
        paths: The files.
        shape: The wanted shape, see `decode_image`.

    Returns:
        uint8 (N, C, H, W).

    Raises:
        ValueError: If there are files that cannot be decoded, with the names of all of them.
    """
    batch = torch.empty((len(paths), *shape), dtype=torch.uint8)

    def decode_into(position: int) -> None:
        batch[position] = decode_image(paths[position], shape)

    _for_each_path(paths, decode_into)
    return batch


def check_headers(paths: Sequence[Path]) -> None:
    """Opens pictures without decoding their pixels, which is enough to find the files that are not pictures.

    Args:
        paths: The files.

    Raises:
        ValueError: If there are files that cannot be opened, with the names of all of them.
    """

    def open_header(position: int) -> None:
        with Image.open(paths[position]):
            pass

    _for_each_path(paths, open_header)


def _for_each_path(paths: Sequence[Path], action: Callable[[int], None]) -> None:
    def attempt(position: int) -> Path | None:
        try:
            action(position)
        except _UNREADABLE:
            return paths[position]
        return None

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        broken = [str(path) for path in pool.map(attempt, range(len(paths))) if path is not None]
    if broken:
        raise ValueError(f"cannot read {len(broken)} picture(s), mend or remove: {', '.join(broken)}")
