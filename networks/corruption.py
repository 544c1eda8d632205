"""Corruptions of the input image that a denoising autoencoder learns to undo.

Source: Vincent et al., "Stacked Denoising Autoencoders" (JMLR 2010), section 3.3.
"""

import torch
from torch import Tensor, nn

from networks.noise import Noise


class Corruption(nn.Module):
    """A random map of images; every source of randomness is the `noise` it is given."""

    def forward(self, image: Tensor, noise: Noise) -> Tensor:
        """Corrupt (B, C, H, W) images; the result has the same shape."""
        raise NotImplementedError


class GaussianCorruption(Corruption):
    """Adds isotropic Gaussian noise. The result is not clipped to [0, 1].

    Args:
        sigma: standard deviation, in units of the image's range [0, 1].
    """

    def __init__(self, sigma: float = 0.5) -> None:
        super().__init__()
        if sigma < 0:
            raise ValueError(f"sigma is {sigma}: a standard deviation cannot be negative")
        self.sigma = sigma

    def forward(self, image: Tensor, noise: Noise) -> Tensor:
        """Corrupt (B, C, H, W) images."""
        return image + self.sigma * noise.normal(*image.shape[1:])


class MaskingCorruption(Corruption):
    """Sets a random fraction of the values to 0.

    Args:
        fraction: probability of each value being masked, in [0, 1].
    """

    def __init__(self, fraction: float = 0.25) -> None:
        super().__init__()
        self.fraction = _checked_fraction(fraction)

    def forward(self, image: Tensor, noise: Noise) -> Tensor:
        """Corrupt (B, C, H, W) images."""
        return image * (noise.uniform(*image.shape[1:]) >= self.fraction)


class SaltAndPepperCorruption(Corruption):
    """Sets a random fraction of the values to 0 or 1 with equal probability.

    Args:
        fraction: probability of each value being replaced, in [0, 1].
    """

    def __init__(self, fraction: float = 0.25) -> None:
        super().__init__()
        self.fraction = _checked_fraction(fraction)

    def forward(self, image: Tensor, noise: Noise) -> Tensor:
        """Corrupt (B, C, H, W) images."""
        draw = noise.uniform(*image.shape[1:])
        # the lower half of the replaced interval becomes pepper, the upper half salt
        salt = (draw >= self.fraction / 2).to(image.dtype)
        return torch.where(draw < self.fraction, salt, image)


def _checked_fraction(fraction: float) -> float:
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction}: give a probability between 0 and 1")
    return fraction
