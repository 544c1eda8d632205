"""Published image sets that torchvision downloads and reads."""

from typing import Any, ClassVar

import numpy as np
import torch
import torchvision.datasets as sets
from torch import Tensor

from datamodules.in_memory import InMemoryImages
from networks.shapes import ImageShape

_DIGITS = tuple("0123456789")

# What torchvision raises for files that are missing, incomplete or altered, and without a network.
_UNREADABLE = (OSError, RuntimeError, ValueError, AssertionError, EOFError)


class TorchvisionImages(InMemoryImages):
    """A set that torchvision provides.

    Args:
        root: Folder that holds the set or shall hold it, laid out as torchvision does.
        download: Download what is missing.
        **kwargs: See `InMemoryImages`.
    """

    source: ClassVar[Any]

    def __init__(self, *, root: str = "data", download: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root
        self.download = download

    def prepare_data(self) -> None:
        """Loads what the stage needs in one process per node, so that the others find the files complete."""
        self.setup("fit" if self.trainer is None or self.trainer.state.fn is None else self.trainer.state.fn.value)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Reads the published training or test part, downloading it if need be.

        Raises:
            ValueError: If the data are neither in `root` nor to be had.
        """
        try:
            pixels, targets = self._open(train)
        except _UNREADABLE as error:
            failure = "could not be downloaded" if self.download else "download is off"
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{type(self).__name__} cannot be read from root={self.root!r} and {failure}: point root at a folder "
                f"that has it, or set download=true where there is a network ({reason})"
            ) from error
        image = torch.from_numpy(np.asarray(pixels)).reshape(-1, *self.native_shape)
        return image, torch.from_numpy(np.asarray(targets)).long()

    def _open(self, train: bool) -> tuple[Any, Any]:
        """Returns uint8 pixels and targets, as arrays, tensors or lists; pixels with channels before rows."""
        opened = self.source(self.root, train=train, download=self.download)
        return opened.data, opened.targets


class MNIST(TorchvisionImages):
    """Handwritten digits, 60,000 + 10,000, 28x28 grey (LeCun et al. 1998); arguments as `TorchvisionImages`."""

    source = sets.MNIST
    native_shape = ImageShape(1, 28, 28)
    class_names = _DIGITS


class FashionMNIST(MNIST):
    """Articles of clothing, 60,000 + 10,000, 28x28 grey (Xiao et al. 2017); arguments as `TorchvisionImages`."""

    source = sets.FashionMNIST
    class_names = tuple(sets.FashionMNIST.classes)


class KMNIST(MNIST):
    """Cursive Japanese characters, 60,000 + 10,000, 28x28 grey (Clanuwat et al. 2018).

    Arguments as `TorchvisionImages`.
    """

    source = sets.KMNIST
    class_names = tuple(sets.KMNIST.classes)


class USPS(TorchvisionImages):
    """Digits from envelopes, 7,291 + 2,007, 16x16 grey (Hull 1994); arguments as `TorchvisionImages`."""

    source = sets.USPS
    native_shape = ImageShape(1, 16, 16)
    class_names = _DIGITS


class CIFAR10(TorchvisionImages):
    """Small photographs, 50,000 + 10,000, 32x32 colour (Krizhevsky 2009); arguments as `TorchvisionImages`."""

    source = sets.CIFAR10
    native_shape = ImageShape(3, 32, 32)
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def _open(self, train: bool) -> tuple[Any, Any]:
        pixels, targets = super()._open(train)
        return pixels.transpose(0, 3, 1, 2), targets  # (N, H, W, C) -> (N, C, H, W)


class SVHN(TorchvisionImages):
    """House numbers, 73,257 + 26,032, 32x32 colour (Netzer et al. 2011); arguments as `TorchvisionImages`.

    The 531,131 "extra" images are not used.
    """

    source = sets.SVHN
    native_shape = ImageShape(3, 32, 32)
    class_names = _DIGITS

    def _open(self, train: bool) -> tuple[Any, Any]:
        opened = self.source(self.root, split="train" if train else "test", download=self.download)
        return opened.data, opened.labels
