from typing import Any

import pytest
import torch

from networks import FreshNoise, GaussianCorruption, KeyedNoise, MaskingCorruption, SaltAndPepperCorruption

grey = torch.full((500, 1, 10, 10), 0.4)  # 50,000 values
index = torch.arange(500)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.8, 1.0])
def test_masking_zeroes_the_fraction_and_leaves_the_rest(fraction: float) -> None:
    noisy = MaskingCorruption(fraction)(grey, KeyedNoise(index))
    assert set(noisy.unique().tolist()) <= {0.0, grey[0, 0, 0, 0].item()}
    assert (noisy == 0).float().mean().item() == pytest.approx(fraction, abs=0.01)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
def test_salt_and_pepper_are_equally_frequent(fraction: float) -> None:
    noisy = SaltAndPepperCorruption(fraction)(grey, KeyedNoise(index))
    assert set(noisy.unique().tolist()) <= {0.0, grey[0, 0, 0, 0].item(), 1.0}
    assert (noisy == 0).float().mean().item() == pytest.approx(fraction / 2, abs=0.01)
    assert (noisy == 1).float().mean().item() == pytest.approx(fraction / 2, abs=0.01)


@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.5, 2.0])
def test_gaussian_noise_has_its_sigma_and_is_not_clipped(sigma: float) -> None:
    added = GaussianCorruption(sigma)(grey, KeyedNoise(index)) - grey
    assert added.mean().item() == pytest.approx(0, abs=0.02 * sigma + 1e-9)
    assert added.std().item() == pytest.approx(sigma, rel=0.02)
    if sigma >= 0.5:
        assert (grey + added).min() < 0
        assert (grey + added).max() > 1


@pytest.mark.parametrize("corruption", [GaussianCorruption(), MaskingCorruption(), SaltAndPepperCorruption()])
def test_all_randomness_is_the_noise_it_is_given(corruption: Any) -> None:
    image = grey.clone()
    assert torch.equal(corruption(image, KeyedNoise(index)), corruption(image, KeyedNoise(index)))
    assert torch.equal(image, grey)  # the clean image is still needed
    fresh = FreshNoise(index)
    assert not torch.equal(corruption(image, fresh), corruption(image, fresh))


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: GaussianCorruption(-0.1), "sigma is -0.1:"),
        (lambda: MaskingCorruption(1.5), "fraction is 1.5:"),
        (lambda: MaskingCorruption(-1), "fraction is -1:"),
        (lambda: SaltAndPepperCorruption(2), "fraction is 2:"),
    ],
)
def test_impossible_amounts_are_one_clear_line(make: Any, start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        make()
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)
