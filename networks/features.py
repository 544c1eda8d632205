"""Feature extractors: the spaces in which sets of generated and of real examples are compared."""

import hashlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import torch
from torch import Tensor, nn

from networks.classifiers import ConvClassifier
from networks.preparation import Preparation
from networks.pretrained import shipped_classifier


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
        # the weights may be wider, where a Trainer converted the model that they are in
        dtype = next((parameter.dtype for parameter in self.parameters()), torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            return self.extract(x.to(dtype)).float()

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


class DigitFeatures(FeatureExtractor):
    """Features of the classifier of MNIST's digits that comes with this package; the file beside it tells its making.

    Inception knows photographs, and a distance between its features means little on digits. Images of any size are
    reduced to luma and resized (bicubic, antialiased) to the classifier's 28x28.

    Args:
        margin: pixels of the 28x28 on each side that stay black around the resized image. MNIST's own digits have four.
            For sets whose digits fill their frame, as scikit-learn's and USPS do, 4 makes them look like MNIST's.

    Raises:
        ValueError: if the margin leaves no image, or the file of weights is not the one that it should be.
    """

    def __init__(self, margin: int = 0) -> None:
        weights = shipped_classifier()
        assert weights.network is not None
        assert weights.shape is not None
        network = weights.network()
        assert isinstance(network, ConvClassifier)
        network.load_state_dict(weights.state)
        dim = network.head.in_features
        framed = f", margin {margin}" if margin else ""
        super().__init__(dim, f"{weights.description}, {dim} features{framed}")
        self.prepare = Preparation(weights.shape, margin)
        self.network = network
        self._freeze()

    def extract(self, x: Tensor) -> Tensor:
        """Features of images (B, C, H, W) in [0, 1], with one or three channels."""
        return self.network.features(self.prepare(x))


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
        network = _inception(weights)
        digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
        super().__init__(2048, f"Inception-v3 {digest[:8]}, 2048 features")
        self.network = network
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
