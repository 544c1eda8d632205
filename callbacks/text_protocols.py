"""What a callback may know of data of text and of models that read and write it: small protocols, as in `protocols`.

The methods of models are called in eval mode, without gradients, with tokens on the model's device.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Textual(Protocol):
    """Data that know what their tokens stand for."""

    def encode(self, text: str) -> list[int]:
        """Returns the tokens of a text, without any that mark its beginning or end."""
        ...

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """Returns the text of tokens up to the first that ends a sequence, without special ones.

        Args:
            tokens: int64 (T,).
        """
        ...

    def opening(self) -> list[int]:
        """Returns the tokens that stand before a text of which nothing is given, at least one."""
        ...

    def token_names(self, tokens: Tensor | Sequence[int]) -> list[str]:
        """Returns what each token is called in a picture.

        Args:
            tokens: int64 (T,).
        """
        ...


@runtime_checkable
class TextualWithBlanks(Textual, Protocol):
    """Data that know what their tokens stand for, and can write a text in them of which some are missing."""

    def encode_with_blanks(self, text: str) -> list[int]:
        """Returns the tokens of a text, with the number behind the last one for each ``<mask>``."""
        ...


@runtime_checkable
class Tokenized(Protocol):
    """Data whose tokens a model depends on, as its weights do."""

    def tokenizer_json(self) -> str:
        """Returns the tokenizer in the file format of the library ``tokenizers``."""
        ...


@runtime_checkable
class Writing(Protocol):
    """A model that continues a text."""

    def write(self, prompt: Tensor, n: int, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
        """Returns prompts and what follows them, drawn with the global random number generator of the device.

        Args:
            prompt: int64 (B, P), each filled up with PAD on the left.
            n: tokens that follow.
            temperature: the logits are divided by it; 0 takes the likeliest token.
            top_k: number of the likeliest tokens that are drawn from; all if None.
            top_p: share of probability that the likeliest tokens drawn from have together; all if None.

        Returns:
            int64 (B, P + n).

        Raises:
            ValueError: if the numbers make no sense.
        """
        ...


@runtime_checkable
class Translating(Protocol):
    """A model that turns sequences into others."""

    def translate(self, source: Tensor) -> Tensor:
        """Returns what each sequence is turned into.

        Args:
            source: int64 (B, S), each ends with EOS, and PAD fills it up on the right.

        Returns:
            int64 (B, T), each ends with EOS, and PAD fills it up, as far as the model came to an end.
        """
        ...


@runtime_checkable
class Filling(Protocol):
    """A model that fills in blanks.

    Attributes:
        context: most tokens that it reads at once; None for no limit.
        mask_token: number of the token that stands for a blank.
    """

    context: int | None
    mask_token: int

    def fill(self, token: Tensor) -> tuple[Tensor, Tensor]:
        """Fills in the blanks of a text.

        Args:
            token: int64 (T,), ``mask_token`` where there is a blank.

        Returns:
            The text int64 (T,), and the probabilities (M, V) of the tokens for each blank, in their order in the text.
        """
        ...


@runtime_checkable
class Attending(Protocol):
    """A model whose positions take from others what they weigh."""

    def attention(self, batch: Any) -> dict[str, Tensor]:
        """Returns the weights of a batch, float (B, H, T, S), by the kind of attention and the layer.

        The names are such as ``encoder/layer 1``, ``decoder/layer 1`` and ``cross/layer 1``, from below to above. There
        are none if the model has no attention.
        """
        ...

    def axes(self, batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """Returns, for each kind of attention, the tokens that look, int64 (B, T), and those looked at, (B, S).

        PAD is where there is nothing to look or to be looked at.
        """
        ...
