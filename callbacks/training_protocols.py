"""What a callback that trains parts of a model, one after the other, may know of the model and of the data."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from callbacks.protocols import Embedding
from networks import FeatureCache


@runtime_checkable
class Phased(Protocol):
    """A model that is trained in phases, of which only the last logs ``train/...`` and ``val/...``.

    The others log ``pretrain/<phase>/<term>`` in training and ``pretrain/<phase>/val_<term>`` in validation. A phase
    begins with an epoch, before its first batch.

    Attributes:
        phase: name of the phase at hand; None outside of training.
    """

    phase: str | None

    @property
    def pretrains(self) -> bool:
        """Whether the phase at hand comes before the training of the whole."""
        ...


def pretrains(model: object) -> bool:
    """Whether a model is in a phase before the training of the whole, in which it does not log what it is judged by."""
    return isinstance(model, Phased) and model.pretrains


@runtime_checkable
class LayerWise(Phased, Protocol):
    """A model whose layers can be trained one after the other before the whole is."""

    layers: nn.ModuleList
    codes: Tensor | None
    reference: Tensor | None

    def enter(self, phase: str | None, steps_before: int = 0) -> Iterable[nn.Parameter]:
        """Begins a phase, and returns the parameters that it trains; all else is frozen and in eval mode.

        Args:
            phase: ``layer1``, ``layer2``, ..., ``readout`` for the head alone, ``fine_tuning`` for the whole; None for
                no phase, in which nothing is frozen.
            steps_before: optimizer steps before the phase, which its schedule leaves out.
        """
        ...

    def phase_input(self, image: Tensor) -> Tensor:
        """Returns what the phase at hand is trained on.

        Args:
            image: float32 (B, C, H, W) in [0, 1].

        Returns:
            (B, D), the codes of what lies below.
        """
        ...

    def take_over(self) -> None:
        """Gives the whole the weights of the layers."""
        ...


@runtime_checkable
class FineTunable(Embedding, Protocol):
    """A model with a backbone that was trained before, and a head that is new.

    Attributes:
        cached: codes of the training and of the validation images, which steps take by a batch's ``index`` and do not
            compute, where they are set; the model lets them go at the end of a fit.
    """

    cached: FeatureCache | None

    @property
    def blocks(self) -> Sequence[object]:
        """The backbone's blocks, from the image upwards."""
        ...

    @property
    def mixes(self) -> bool:
        """Whether training mixes images, which then have no code of their own."""
        ...

    def train_blocks(self, n: int) -> None:
        """Lets the head and the highest blocks be trained; all below is frozen and in eval mode.

        Args:
            n: how many blocks.
        """
        ...


@runtime_checkable
class TrainingSet(Protocol):
    """Data that can hand over its training images."""

    augmentation: object | None

    def training_images(self) -> Iterator[Tensor]:
        """Yields the training images in order and without augmentation, (B, C, H, W) float32 in [0, 1]."""
        ...


@runtime_checkable
class ImageParts(TrainingSet, Protocol):
    """Data that can hand over the images of each part."""

    def images_of(self, part: Literal["train", "val", "test"]) -> Iterator[Tensor]:
        """Yields a part's images in order and without augmentation, (B, C, H, W) float32 in [0, 1]."""
        ...
