"""Feature extractors: the spaces in which sets of generated and of real examples are compared."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import torch
from torch import Tensor, nn


class FeatureExtractor(nn.Module):
    """A frozen map from examples to features, always in evaluation mode and in float32.

    A subclass implements `extract`.

    Args:
        dim: number of features, D.
        description: what stands beside the numbers, which are comparable only within one space.
    """

    def __init__(self, dim: int, description: str) -> None:
        super().__init__()
        self.dim = dim
        self.description = description
        self.training = False

    def extract(self, x: Tensor) -> Tensor:
        """Features (B, D) of examples (B, ...) in float32."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Features of examples, (B, ...) -> (B, dim), float32 also under autocast."""
        with torch.autocast(x.device.type, enabled=False):
            return self.extract(x.float()).float()

    def _freeze(self) -> None:
        self.requires_grad_(False).eval()


class RawFeatures(FeatureExtractor):
    """The values of an example themselves: pixels, or coordinates of a point.

    Args:
        data_shape: shape of one example, (C, H, W) or (D,).
    """

    def __init__(self, data_shape: tuple[int, ...]) -> None:
        dim = int(torch.Size(data_shape).numel())
        super().__init__(dim, f"raw values, {dim} features")

    def extract(self, x: Tensor) -> Tensor:
        """Flatten (B, ...) to (B, dim)."""
        return x.flatten(1)


class InceptionFeatures(FeatureExtractor):
    """The pool layer of the Inception-v3 of TensorFlow that published FIDs are computed with.

    For natural pictures; on digits its features say little. Grey images are repeated over three channels, and all are
    rounded to 256 levels and resized to 299x299 as torch-fidelity does.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium" (2017).

    Args:
        weights: file ``pt_inception-2015-12-05-6726825d.pth`` of torch-fidelity.

    Raises:
        ValueError: if torch-fidelity is not installed, or the file is not there or not what it should be.
    """

    def __init__(self, weights: str) -> None:
        super().__init__(2048, "Inception-v3, 2048 features")
        self.network = _inception(weights)
        self._freeze()

    def extract(self, x: Tensor) -> Tensor:
        """Features of images (B, C, H, W) in [0, 1], with one or three channels."""
        levels = (x.clamp(0, 1) * 255).round().to(torch.uint8)
        features: Tensor = self.network(levels.expand(-1, 3, -1, -1))
        return features


def _inception(weights: str) -> Any:
    try:
        import torch_fidelity  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
        from torchmetrics.image.fid import NoTrainInceptionV3
    except ImportError:
        raise ValueError("InceptionFeatures needs torch-fidelity: pip install torch-fidelity") from None
    if not Path(weights).is_file():
        raise ValueError(
            f"weights is {weights!r}: there is no such file; download pt_inception-2015-12-05-6726825d.pth of "
            "torch-fidelity and give its path"
        )
    try:
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], weights)
    except (RuntimeError, OSError, EOFError, KeyError, UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"weights is {weights!r}: not the weights of torch-fidelity's Inception ({reason})") from error
