"""What a callback may know of a model: the methods that a technique offers, each a small protocol.

A technique takes part in a picture by having the method, and needs no base class or registration. All of these are
called on the model in eval mode, without gradients, with images as float32 (B, C, H, W) in [0, 1] on its device.

What callbacks that train parts of a model need to know is in `training_protocols`.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from networks import Interface, PatchAttention


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
    """A model that makes new examples."""

    def sample(self, n: int, label: int | None = None) -> Tensor:
        """Returns new examples, drawn with the global random number generator of the model's device.

        Args:
            n: how many.
            label: the class that all shall have, of a model that is conditional on the class.

        Returns:
            float32 (n, C, H, W) in [0, 1], or points (n, D).

        Raises:
            ValueError: if a label is given and there are no classes, or it is none of them.
        """
        ...


@runtime_checkable
class Conditional(Protocol):
    """A generative model that may be told the class."""

    conditional: bool

    def labels_of(self, n: int, label: int | None) -> Tensor | None:
        """Returns the classes that ``Generative.sample`` draws, in its order, int64 (n,); None without classes."""
        ...


@runtime_checkable
class LatentGenerative(Protocol):
    """A model that makes new examples of codes from a Gaussian prior."""

    def prior(self, n: int) -> Tensor:
        """Returns codes, float32 (n, D), drawn with the global random number generator of the model's device."""
        ...

    def decode(self, z: Tensor, *label: Tensor) -> Tensor:
        """Returns the example of each code, float32 (B, C, H, W) in [0, 1], or points (B, D).

        Args:
            z: float32 (B, D), the codes.
            label: int64 (B,), their classes, for a model that is ``Conditional`` and has any.
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


@runtime_checkable
class Filtered(Protocol):
    """A model whose units each look at the whole image, through weights that are an image themselves."""

    def filters(self) -> Tensor:
        """Returns the weights of the first layer's units as images, float32 (units, C, H, W), unbounded."""
        ...


@runtime_checkable
class HiddenLayers(Protocol):
    """A model that is a stack of layers."""

    @property
    def hidden_layers(self) -> dict[str, nn.Module]:
        """Name to layer, from the input to the output: ``layer1``, ``layer2``, ..., ``head``."""
        ...


@runtime_checkable
class Classifying(Protocol):
    """A model that learned from labels to name the class of an image.

    Its ``test_step`` returns ``probability``, float32 (B, K), of the classes, ``label`` and ``index``, int64 (B,).
    """

    def feature_maps(self, image: Tensor) -> tuple[Tensor, Tensor] | None:
        """Returns the last maps that still have places, and what follows from them.

        Args:
            image: float32 (B, C, H, W) in [0, 1].

        Returns:
            Maps (B, C', H', W') and logits (B, K), the latter a function of the former that gradients flow through;
            None if the network has no such maps.
        """
        ...


@runtime_checkable
class PatchAttending(Protocol):
    """A model that may read an image as patches, which attend to each other."""

    def patch_attention(self, image: Tensor) -> PatchAttention | None:
        """Returns the weights of attention between patches, and where these are; None if the model reads none.

        Args:
            image: float32 (B, C, H, W) in [0, 1].
        """
        ...


SOURCE, TARGET = 0, 1  # places of the two domains among the loaders of an `Adapting` model's evaluation


@runtime_checkable
class Exportable(Protocol):
    """A model that says what its ``forward`` takes and gives, so that others can use it who do not know its code."""

    def interface(self) -> Interface:
        """Returns the arguments of ``forward`` in their order, and what it gives, one tensor."""
        ...


@runtime_checkable
class NamedClasses(Protocol):
    """Data whose classes have names.

    Attributes:
        class_names: by number; empty if there are no classes.
    """

    class_names: tuple[str, ...]


@runtime_checkable
class Adapting(Protocol):
    """A model that learns a task from labelled data of one domain, for another domain.

    It is evaluated on two loaders, of which the first is the source. Its ``validation_step`` and ``test_step`` return
    ``feature``, float (B, D), ``predicted``, int64 (B,), the classes it says, ``index``, int64 (B,), the position of
    each example in its part of the data, and ``label``, int64 (B,), where the batch has one: the target's has none
    before the test. Called on a batch of examples it returns the logits of their classes, (B, K), as of the target.

    Attributes:
        domains: what source and target are called.
    """

    domains: tuple[str, str]


@runtime_checkable
class Compared(Protocol):
    """A model whose metrics mean nothing without what they were measured with."""

    @property
    def measured_with(self) -> dict[str, str | int]:
        """Name to description or number, of what stands beside the metrics."""
        ...


@runtime_checkable
class Oracle(Protocol):
    """Data that know what is hidden from a model, and say so once nothing can be learnt or chosen by it any more."""

    def oracle_labels(self) -> Tensor:
        """Returns the classes of the target's validation part in its order, int64 (N,).

        Raises:
            ValueError: outside of a test.
        """
        ...
