"""The masked language model: what stands in the blanks of a text, told from both sides."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lit_models.base import OptimizerFactory, SchedulerFactory, label_and_index
from lit_models.token_technique import TokenTechnique, TokenTerms
from networks import (
    PAD,
    SPECIAL_TOKENS,
    Interface,
    MaskedTransformer,
    TokenMasking,
    mean_over_known,
    recorded_attention,
    token_input,
)

MaskedNetworkFactory = Callable[[int, int | None], nn.Module]


@runtime_checkable
class MaskedNetwork(Protocol):
    """A network that reads V + 1 tokens, the last of which is the mask, and tells V.

    Attributes:
        context: most tokens that it reads at once; None for no limit.
        width: of what it makes of each token, D.
    """

    context: int | None
    width: int

    def encode(self, token: Tensor) -> Tensor:
        """What each token means beside the others, (B, T) -> (B, T, D)."""

    def decode(self, encoded: Tensor) -> Tensor:
        """Logits of the token that stood at a place, (..., D) -> (..., V)."""


class MaskedBatch(NamedTuple):
    """Texts of which some tokens are hidden.

    Attributes:
        token: int64 (B, T), what is read.
        place: int64 (B, M), the places that are asked for.
        target: int64 (B, M), the tokens that stood there; PAD where nothing is asked.
        index: int64 (B,), position of each text in its part of the data.
        tokens: int64 scalar, targets that are asked for.
    """

    token: Tensor
    place: Tensor
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    tokens: Tensor


class MaskedLanguageModel(TokenTechnique):
    """Tells tokens that are hidden in a text from those around them, and so learns what tokens mean.

    Of the tokens that are chosen in each text, 80 % are masked, 10 % are replaced by others, and 10 % stay; all of
    them have to be told. Training draws them anew each time, evaluation hides the same ones of a text every time.
    Pairs of texts, such as translations, are read one after the other, so that what is hidden in one is found in the
    other.

    Sources: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019);
    Lample and Conneau, "Cross-lingual Language Model Pretraining" (2019) for pairs. Of the former it has no prediction
    of the next sentence, of the latter no embedding of the language: where one text ends is told by its tokens.

    Args:
        vocab_size: V, number of tokens; the CLI takes it from the data.
        context: tokens that a text has at most, None where the data set no limit; the CLI takes it from the data.
        network: makes the network from V and the context; `MaskedTransformer` if not given, or `MaskedRecurrent`.
        rate: share of the tokens that are chosen; see `TokenMasking`.
        mask_share: share of the chosen ones that are masked.
        random_share: share of the chosen ones that are replaced by others.
        label_smoothing: see `TokenTechnique`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.

    Raises:
        ValueError: if an argument is impossible.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int | None = None,
        network: MaskedNetworkFactory | None = None,
        rate: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        label_smoothing: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(vocab_size, label_smoothing, optimizer, scheduler, scheduler_interval)
        self.masking = TokenMasking(vocab_size, rate, mask_share, random_share)
        made = (network or MaskedTransformer)(vocab_size, context)
        if not isinstance(made, MaskedNetwork):
            raise ValueError(
                f"network is {type(made).__name__}, which cannot tell what is masked: choose one with encode(), "
                "decode(), width and context, such as MaskedTransformer or MaskedRecurrent"
            )
        self.network: nn.Module = made

    @property
    def mask_token(self) -> int:
        """Number of the token that stands for what is masked, V."""
        return self.masking.mask

    @property
    def context(self) -> int | None:
        """Most tokens that are read at once; None for no limit."""
        return self._network.context

    def forward(self, token: Tensor) -> Tensor:
        """Logits of the token that stands at each place, (B, T) -> (B, T, V); number V is the mask."""
        logits: Tensor = self.network(token)
        return logits

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        token = token_input("token", self.mask_token + 1, longest=self.context)
        return Interface((token,), "logits", "logits of the token that stands at each place")

    def mask(self, batch: Any) -> MaskedBatch:
        """Hide tokens of a batch, with `noise`; one of which some are hidden already is left as it is."""
        if isinstance(batch, MaskedBatch):
            return batch
        hidden = self.masking(text_of(batch), self.noise(batch))
        asked = (hidden.target != PAD).sum()
        return MaskedBatch(hidden.token, hidden.place, hidden.target, batch.index, asked)

    def logits_and_targets(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Logits at the chosen places of a batch, (B, M, V), and the tokens that stood there, (B, M)."""
        masked = self.mask(batch)
        encoded = self._network.encode(masked.token)
        chosen = encoded.gather(1, masked.place.unsqueeze(-1).expand(-1, -1, encoded.shape[-1]))  # (B, M, D)
        return self._network.decode(chosen), masked.target

    def loss(self, batch: Any) -> TokenTerms:
        """Terms of a batch, means over its chosen places."""
        return super().loss(self.mask(batch))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """As `TokenTechnique.training_step`; what counts as a token is a chosen place."""
        return super().training_step(self.mask(batch), batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the terms of the loss as means over the chosen places of the validation part."""
        super().validation_step(self.mask(batch), batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the terms of the loss as means over the chosen places of the test part."""
        super().test_step(self.mask(batch), batch_idx)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Codes of texts of which nothing is hidden, means over their tokens, with labels where known."""
        token = text_of(batch)
        return {"latent": mean_over_known(self._network.encode(token), token != PAD), **label_and_index(batch)}

    @torch.no_grad()
    def fill(self, token: Tensor) -> tuple[Tensor, Tensor]:
        """Fill in what is masked in a text, the most certain place first, each beside those filled in before.

        Args:
            token: int64 (T,), `mask_token` where it is masked.

        Returns:
            The text int64 (T,), and the probabilities (M, V) of the masked places, in their order in the text, when
            their turn came. Special tokens have none.

        Raises:
            ValueError: if the text is too long.
        """
        token = token.clone()
        places = (token == self.mask_token).nonzero().squeeze(1)
        probability = torch.zeros(len(places), self.mask_token, device=token.device)
        for _ in range(len(places)):
            logits = self(token.unsqueeze(0))[0, places].float()  # (M, V)
            logits[:, : len(SPECIAL_TOKENS)] = -torch.inf
            found = logits.softmax(-1)
            turn = found.amax(-1).masked_fill(token[places] != self.mask_token, -1.0).argmax()
            probability[turn] = found[turn]
            token[places[turn]] = found[turn].argmax()
        return token, probability

    def attention(self, batch: Any) -> dict[str, Tensor]:
        """Weights with which each place attends to the others, by layer, (B, H, T, T); none if it does not."""
        with recorded_attention(self.network) as maps:
            self._network.encode(self.mask(batch).token)
        return {f"encoder/layer {place}": weights for place, weights in enumerate(maps.values(), 1)}

    def axes(self, batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """Tokens that the rows and the columns of the maps stand for, (B, T) each, with what is masked."""
        token = self.mask(batch).token
        return {"encoder": (token, token)}

    @property
    def _network(self) -> MaskedNetwork:
        assert isinstance(self.network, MaskedNetwork)
        return self.network


def text_of(batch: Any) -> Tensor:
    """The tokens of a batch, int64 (B, T); of pairs both texts one after the other, padding behind."""
    if hasattr(batch, "token"):
        token: Tensor = batch.token
        return token
    both = torch.cat((batch.source, batch.target), 1)
    order = (both == PAD).long().argsort(dim=1, stable=True)
    return both.gather(1, order)
