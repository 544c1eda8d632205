"""The batch types: named fields, so that no step has to know the position of anything."""

from typing import NamedTuple

from torch import Tensor


class ImageBatch(NamedTuple):
    """Labelled images.

    Attributes:
        image: uint8 (B, C, H, W) on its way to the device, float32 in [0, 1] once there.
        label: int64 (B,), class of each image.
        index: int64 (B,), position of each image in its part of the data; noise that must not
            depend on the batch or the process is keyed on it.
    """

    image: Tensor
    label: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    @property
    def x(self) -> Tensor:
        """The examples themselves."""
        return self.image


class UnlabelledImageBatch(NamedTuple):
    """Images whose labels do not exist or must not be seen: there is no field to read them from.

    Attributes:
        image: uint8 (B, C, H, W) on its way to the device, float32 in [0, 1] once there.
        index: int64 (B,), position of each image in its part of the data.
    """

    image: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    @property
    def x(self) -> Tensor:
        """The examples themselves."""
        return self.image


class PointBatch(NamedTuple):
    """Labelled points.

    Attributes:
        point: float32 (B, D), unbounded.
        label: int64 (B,), class of each point.
        index: int64 (B,), position of each point in its part of the data.
    """

    point: Tensor
    label: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    @property
    def x(self) -> Tensor:
        """The examples themselves."""
        return self.point


class UnlabelledPointBatch(NamedTuple):
    """Points whose labels do not exist or must not be seen: there is no field to read them from.

    Attributes:
        point: float32 (B, D), unbounded.
        index: int64 (B,), position of each point in its part of the data.
    """

    point: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    @property
    def x(self) -> Tensor:
        """The examples themselves."""
        return self.point


class DomainBatch(NamedTuple):
    """Labelled examples of a source domain beside unlabelled ones of a target domain, equally many of each.

    Attributes:
        source: Images or points with their classes.
        target: Images or points of the same kind, without.
    """

    source: ImageBatch | PointBatch
    target: UnlabelledImageBatch | UnlabelledPointBatch


class OracleBatch(NamedTuple):
    """Labelled examples of a target domain, for the upper bound that sees its labels; made by no other data.

    Attributes:
        target: Images or points with their classes.
    """

    target: ImageBatch | PointBatch


class TokenBatch(NamedTuple):
    """Sequences of tokens, for a model of what comes next.

    Attributes:
        token: int64 (B, T), what the model reads.
        target: int64 (B, T), what it has to say after each; `networks.tokens.PAD` where it is asked nothing.
        characters: int64 (B,), characters that the targets of each sequence stand for.
        index: int64 (B,), position of each sequence in its part of the data.
        tokens: Targets that are asked for, in the whole batch.
    """

    token: Tensor
    target: Tensor
    characters: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    tokens: int


class SequencePairBatch(NamedTuple):
    """Sequences of tokens, and those that they are to be turned into.

    Attributes:
        source: int64 (B, S), each ends with EOS, and `networks.tokens.PAD` fills it up.
        target: int64 (B, T), each begins with BOS and ends with EOS, and PAD fills it up.
        index: int64 (B,), position of each pair in its part of the data.
        tokens: Tokens of the targets without BOS and PAD, in the whole batch.
    """

    source: Tensor
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    tokens: int


class LabelledTextBatch(NamedTuple):
    """Texts with their classes.

    Attributes:
        token: int64 (B, T), `networks.tokens.PAD` behind the shorter ones.
        label: int64 (B,), class of each text.
        index: int64 (B,), position of each text in its part of the data.
    """

    token: Tensor
    label: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
