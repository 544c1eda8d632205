"""The error that is blind to brightness."""

import pytest
import torch

from objectives import scale_invariant_error, squared_error


def test_it_is_the_squared_error_less_that_of_the_mean() -> None:
    torch.manual_seed(0)
    made, image = torch.rand(2, 5, 3, 4, 2, dtype=torch.float64)
    e = made - image
    pairs = torch.stack([(a - b) ** 2 for row in e.flatten(1) for a in row for b in row]).view(5, -1)
    # the variance is half the mean squared difference of all pairs
    torch.testing.assert_close(scale_invariant_error(made, image), pairs.mean(1) / 2)
    mean = e.flatten(1).mean(1)
    torch.testing.assert_close(scale_invariant_error(made, image) + mean**2, squared_error(made, image) / 24)


def test_brightness_costs_nothing_and_contrast_does() -> None:
    image = torch.rand(3, 1, 6, 6)
    brightness = torch.tensor([-1.0, 0.5, 3.0]).view(3, 1, 1, 1)
    assert scale_invariant_error(image + brightness, image).abs().max() < 1e-6
    assert scale_invariant_error(2 * image, image).min() > 0.01


def test_narrow_types_are_widened() -> None:
    image = torch.rand(3, 1, 6, 6).bfloat16()
    assert scale_invariant_error(image + 1, image).dtype == torch.float32
    assert scale_invariant_error(image, image).tolist() == pytest.approx([0, 0, 0])
