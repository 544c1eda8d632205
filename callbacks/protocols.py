"""What a callback may know of a model: the methods that a technique offers, each a small protocol.

A technique takes part in a picture by having the method, and needs no base class or registration. All of these are
called on the model in eval mode, without gradients, with images as float32 (B, C, H, W) in [0, 1] on its device.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Reconstructive(Protocol):
    """A model that gives back an image it was shown."""

    def reconstruct(self, image: Tensor) -> Tensor:
        """Returns the model's version of each image.

        Args:
            image: float32 (B, C, H, W) in [0, 1].

        Returns:
            float32 (B, C, H, W) in [0, 1].
        """
        ...


@runtime_checkable
class Corrupting(Protocol):
    """A model that is trained to clean inputs which it corrupts itself."""

    def corrupt(self, image: Tensor, index: Tensor) -> Tensor:
        """Returns the corrupted input, always the same for the same index.

        Args:
            image: float32 (B, C, H, W) in [0, 1].
            index: int64 (B,), position of each image in its part of the data; the noise is keyed on it.

        Returns:
            float32 (B, C, H, W); additive noise may take it outside [0, 1].
        """
        ...


@runtime_checkable
class Generative(Protocol):
    """A model that makes new images."""

    def sample(self, n: int) -> Tensor:
        """Returns new images, drawn with the global random number generator of the model's device.

        Args:
            n: how many.

        Returns:
            float32 (n, C, H, W) in [0, 1].
        """
        ...


@runtime_checkable
class Embedding(Protocol):
    """A model that maps an image to a code."""

    def embed(self, image: Tensor) -> Tensor:
        """Returns the code of each image; of a distribution over codes, its mean.

        Args:
            image: float32 (B, C, H, W) in [0, 1].

        Returns:
            float32 (B, D).
        """
        ...


@runtime_checkable
class Decoding(Protocol):
    """A model that maps a code to an image."""

    def decode(self, z: Tensor) -> Tensor:
        """Returns the image of each code.

        Args:
            z: float32 (B, D), codes of the space that ``Embedding.embed`` maps to.

        Returns:
            float32 (B, C, H, W) in [0, 1].
        """
        ...
