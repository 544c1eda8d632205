"""Observation models p(x | z) of a variational autoencoder: what a decoder's output means."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from networks.noise import KeyedNoise, Noise
from objectives import binary_cross_entropy, gaussian_nll

_STATIC = 1  # seed of the bits that are drawn once, unlike that of evaluation's other draws


class Likelihood(nn.Module):
    """An observation model.

    `observe` turns the data's image into the variable that is modelled, `nll` scores it under the
    decoder's output, `mean` is the picture to show. `bits_offset` is added to a negative log
    likelihood in bits per dimension to refer it to images of 256 levels.
    """

    bits_offset = 0.0

    def observe(self, image: Tensor, index: Tensor, noise: Noise) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to the modelled variable x of the same shape."""
        raise NotImplementedError

    def nll(self, output: Tensor, x: Tensor) -> Tensor:
        """Negative log likelihood -log p(x | z) of each image, (B,), in nats."""
        raise NotImplementedError

    def mean(self, output: Tensor) -> Tensor:
        """The expected image, (B, C, H, W), in [0, 1]."""
        raise NotImplementedError

    def output_for(self, mean: Tensor) -> Tensor:
        """The output whose expected image this is, the inverse of `mean`."""
        raise NotImplementedError


class Bernoulli(Likelihood):
    """Independent binary pixels; the decoder's output is their log-odds.

    Args:
        binarization: how a grey level p becomes a bit. ``dynamic``: drawn with probability p anew
            at every visit (in evaluation from a fixed draw for each example). ``static``: drawn
            once for each example, for good. Negative log likelihoods under the two differ by nats
            and must not be compared. Grey levels themselves are not offered: their cross-entropy
            is no likelihood.
    """

    def __init__(self, binarization: Literal["dynamic", "static"] = "dynamic") -> None:
        super().__init__()
        if binarization not in ("dynamic", "static"):
            raise ValueError(f"binarization is {binarization!r}: choose dynamic or static")
        self.binarization = binarization

    def observe(self, image: Tensor, index: Tensor, noise: Noise) -> Tensor:
        """Binarise images (B, C, H, W) in [0, 1]."""
        source = noise if self.binarization == "dynamic" else KeyedNoise(index, _STATIC)
        # compared in place: to make numbers of booleans would take longer than to compare
        return source.uniform(*image.shape[1:]).lt_(image).to(image.dtype)

    def nll(self, output: Tensor, x: Tensor) -> Tensor:
        """Cross-entropy of each image, (B,), in nats."""
        return binary_cross_entropy(output, x)

    def mean(self, output: Tensor) -> Tensor:
        """Probability of each pixel, (B, C, H, W)."""
        return torch.sigmoid(output)

    def output_for(self, mean: Tensor) -> Tensor:
        """Log-odds of probabilities, which are kept within 0.001 of 0 and 1."""
        return torch.logit(mean, eps=1e-3)


class Gaussian(Likelihood):
    """Real-valued pixels with one noise level for all of them; the decoder's output is the mean.

    Images of 256 levels are dequantised with uniform noise, so that the density bounds the
    probability of the levels (Theis et al., "A note on the evaluation of generative models", 2016).

    Args:
        sigma: standard deviation in units of the range [0, 1]; learned with the network where not
            given, starting at 0.1 (the optimal-sigma VAE of Rybkin et al., 2021).
    """

    bits_offset = 8.0

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        if sigma is not None and sigma <= 0:
            raise ValueError(f"sigma is {sigma}: a standard deviation must be positive")
        logvar = torch.tensor(2 * math.log(0.1 if sigma is None else sigma))
        if sigma is None:
            self.logvar = nn.Parameter(logvar)
        else:
            self.register_buffer("logvar", logvar, persistent=False)

    def observe(self, image: Tensor, index: Tensor, noise: Noise) -> Tensor:
        """Spread each of the 256 levels over its bin of [0, 1]."""
        return (255 * image + noise.uniform(*image.shape[1:])) / 256

    def nll(self, output: Tensor, x: Tensor) -> Tensor:
        """Negative log density of each image, (B,), in nats."""
        return gaussian_nll(output, x, self.logvar)

    def mean(self, output: Tensor) -> Tensor:
        """The mean, clipped to [0, 1]."""
        return output.clamp(0, 1)

    def output_for(self, mean: Tensor) -> Tensor:
        """The mean itself."""
        return mean
