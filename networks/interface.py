"""What a model takes and gives, told to those who meet it outside of this project."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from networks.tokens import PAD


class Input(NamedTuple):
    """An argument of a model's `forward`.

    Attributes:
        name: of the argument.
        meaning: what its values are, in words.
        shape: of one example, without the batch; a name stands for a length that may be any from 1 on.
        dtype: of its values.
        low: the least value; None if there is none.
        high: the greatest value; None if there is none.
        longest: the greatest length that a name in the shape may stand for; None if there is none.
        padding: the value that fills up short examples on the right; None if they all have one length.
    """

    name: str
    meaning: str
    shape: tuple[int | str, ...]
    dtype: Literal["float32", "int64"]
    low: float | None = None
    high: float | None = None
    longest: int | None = None
    padding: int | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the lengths that may be any."""
        return tuple(size for size in self.shape if isinstance(size, str))

    def examples(self, batch: int, lengths: Mapping[str, int], seed: int) -> Tensor:
        """Values that the model could be given.

        Bounded values are drawn evenly, others from the standard normal distribution. Where padding is possible, half
        of the last example is padding.

        Args:
            batch: number of examples, B.
            lengths: number that each of `axes` stands for.
            seed: of the draw.

        Returns:
            (B, *shape).
        """
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, *(lengths[size] if isinstance(size, str) else size for size in self.shape))
        if self.dtype == "int64":
            assert self.low is not None
            assert self.high is not None
            values = torch.randint(int(self.low), int(self.high) + 1, shape, generator=generator)
            if self.padding is not None:
                values[values == self.padding] = int(self.high)
                values[-1, (shape[1] + 1) // 2 :] = self.padding
            return values
        if self.low is None or self.high is None:
            return torch.randn(shape, generator=generator)
        return self.low + (self.high - self.low) * torch.rand(shape, generator=generator)


class Interface(NamedTuple):
    """What a model's `forward` takes and gives.

    Attributes:
        inputs: its arguments, in order.
        output: name of what it gives.
        meaning: what that is, in words.
        of_classes: whether the model knows the classes of the data, whose names then belong to it.
    """

    inputs: tuple[Input, ...]
    output: str
    meaning: str
    of_classes: bool = False

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the lengths that may be any, of all inputs, each once."""
        return tuple(dict.fromkeys(axis for one in self.inputs for axis in one.axes))

    def longest(self, axis: str) -> int | None:
        """The greatest length that an axis may have; None if there is none."""
        return min((one.longest for one in self.inputs if axis in one.axes and one.longest is not None), default=None)

    def with_length(self, length: int) -> "Interface":
        """The same of a model that takes sequences of one length only.

        Args:
            length: of all sequences.

        Raises:
            ValueError: if there are no sequences, or none so long.
        """
        if not self.axes:
            raise ValueError(f"length is {length}: this model takes no sequences, leave it out")
        limits = [limit for axis in self.axes if (limit := self.longest(axis)) is not None]
        if length < 1 or any(length > limit for limit in limits):
            most = f", and at most {min(limits)}" if limits else ""
            raise ValueError(f"length is {length}: choose at least 1{most}")
        fixed = [
            one._replace(shape=tuple(length if isinstance(size, str) else size for size in one.shape))
            for one in self.inputs
        ]
        return self._replace(inputs=tuple(fixed))


def data_input(name: str, shape: Sequence[int]) -> Input:
    """Images (C, H, W) as the DataModules give them, or points (D,)."""
    if len(shape) == 3:
        return Input(name, "pixels in [0, 1], normalised by nothing else", tuple(shape), "float32", 0.0, 1.0)
    return Input(name, "coordinates", tuple(shape), "float32")


def class_input(name: str, num_classes: int) -> Input:
    """A class of each example."""
    return Input(name, "number of the class", (), "int64", 0, num_classes - 1)


def token_input(name: str, vocab_size: int, axis: str = "length", longest: int | None = None) -> Input:
    """Sequences of tokens, filled up with PAD on the right.

    Args:
        name: of the argument.
        vocab_size: number of tokens that there are.
        axis: name of the length.
        longest: most tokens of a sequence; None for no limit.
    """
    meaning = f"numbers of tokens, {PAD} behind the end of a shorter sequence"
    return Input(name, meaning, (axis,), "int64", 0, vocab_size - 1, longest, PAD)
