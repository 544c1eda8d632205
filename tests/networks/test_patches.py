"""Images cut into patches and put together again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from networks import ImageShape, grid_sinusoids, images, patches, sinusoids


@given(rows=st.integers(1, 4), columns=st.integers(1, 4), size=st.integers(1, 4), channels=st.integers(1, 3))
def test_patches_make_the_image_again(rows: int, columns: int, size: int, channels: int) -> None:
    shape = ImageShape(channels, rows * size, columns * size)
    image = torch.rand(2, *shape)
    cut = patches(image, size)
    assert cut.shape == (2, rows * columns, channels * size**2)
    assert torch.equal(images(cut, shape, size), image)


def test_patches_go_row_by_row_from_the_upper_left() -> None:
    image = torch.rand(1, 3, 4, 6)
    cut = patches(image, 2)
    assert torch.equal(cut[0, 0], image[0, :, :2, :2].flatten())
    assert torch.equal(cut[0, 2], image[0, :, :2, 4:].flatten())
    assert torch.equal(cut[0, 3], image[0, :, 2:, :2].flatten())


@pytest.mark.parametrize("size", [0, 3, 8])
def test_a_size_that_does_not_fill_the_image_is_one_clear_line(size: int) -> None:
    message = rf"^patch_size is {size}: choose a divisor of the height and width of the images, 8x12: 1, 2, 4$"
    with pytest.raises(ValueError, match=message):
        patches(torch.zeros(1, 1, 8, 12), size)
    with pytest.raises(ValueError, match=message):
        images(torch.zeros(1, 1, 1), ImageShape(1, 8, 12), size)


def test_positions_of_a_grid_tell_row_and_column_each_in_a_half() -> None:
    table = grid_sinusoids(3, 5, 16).view(3, 5, 16)
    for row in range(3):
        for column in range(5):
            torch.testing.assert_close(table[row, column, :8], sinusoids(torch.tensor(row), 8))
            torch.testing.assert_close(table[row, column, 8:], sinusoids(torch.tensor(column), 8))


def test_positions_of_a_grid_need_pairs_in_each_half() -> None:
    with pytest.raises(ValueError, match=r"^dim is 6: sinusoidal positions of a grid need a multiple of 4$"):
        grid_sinusoids(2, 2, 6)
