"""Images as sequences of square patches, and back."""

from torch import Tensor

from networks.shapes import ImageShape


def patch_grid(shape: ImageShape, size: int) -> tuple[int, int]:
    """How many patches an image has, downwards and across.

    Args:
        shape: of the image.
        size: side of a patch in pixels.

    Raises:
        ValueError: if patches of this size do not fill the image.
    """
    if size < 1 or shape.height % size or shape.width % size:
        sides = range(1, min(shape.height, shape.width) + 1)
        fitting = ", ".join(str(side) for side in sides if shape.height % side == 0 and shape.width % side == 0)
        raise ValueError(
            f"patch_size is {size}: choose a divisor of the height and width of the images, "
            f"{shape.height}x{shape.width}: {fitting}"
        )
    return shape.height // size, shape.width // size


def patches(image: Tensor, size: int) -> Tensor:
    """Cut images into patches, row by row from the upper left.

    Args:
        image: (B, C, H, W).
        size: side of a patch in pixels, P.

    Returns:
        (B, N, C * P * P) with N = H / P * W / P; the pixels of a patch in the order (C, P, P).

    Raises:
        ValueError: if patches of this size do not fill the image.
    """
    shape = ImageShape(*image.shape[1:])
    rows, columns = patch_grid(shape, size)
    cut = image.reshape(-1, shape.channels, rows, size, columns, size)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, rows * columns, shape.channels * size**2)


def images(patches: Tensor, shape: ImageShape, size: int) -> Tensor:
    """Put images together from their patches; the inverse of `patches`.

    Args:
        patches: (B, N, C * P * P).
        shape: of the images.
        size: side of a patch in pixels, P.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: if patches of this size do not fill the image.
    """
    rows, columns = patch_grid(shape, size)
    cut = patches.reshape(-1, rows, columns, shape.channels, size, size)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(-1, *shape)
