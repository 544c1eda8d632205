"""The language model: what comes next in a text, told by a transformer or by a recurrent network."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from lit_models.base import OptimizerFactory, SchedulerFactory
from lit_models.token_technique import TokenTechnique, TokenTerms
from networks import PAD, Interface, TransformerLM, generate, recorded_attention, token_input
from objectives import token_losses

LanguageNetworkFactory = Callable[[int, int], nn.Module]


@runtime_checkable
class WritingNetwork(Protocol):
    """A network that goes on with a text, token by token.

    Attributes:
        context: most tokens that it reads at once; None for no limit.
    """

    context: int | None

    def advance(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (B, T, V) of what follows each token (B, T), and the state after them; the first state is None."""


class LanguageModel(TokenTechnique):
    """Predicts each token of a text from those before it.

    Sources: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019) for the transformer; Mikolov
    et al., "Recurrent neural network based language model" (2010) for the recurrent network.

    Args:
        vocab_size: V, number of tokens; the CLI takes it from the data.
        context: tokens that a window of the data has, and that a transformer sees at most; the CLI takes it from the
            data.
        network: makes the network from V and the context; `TransformerLM` if not given, or `RecurrentLM`.
        label_smoothing: see `TokenTechnique`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int,
        network: LanguageNetworkFactory | None = None,
        label_smoothing: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(vocab_size, label_smoothing, optimizer, scheduler, scheduler_interval)
        if context < 1:
            raise ValueError(f"context is {context}: a model reads at least one token")
        self.context = context
        made = (network or TransformerLM)(vocab_size, context)
        if not isinstance(made, WritingNetwork):
            raise ValueError(
                f"network is {type(made).__name__}, which cannot go on with a text: choose one with advance() and "
                "context, such as TransformerLM or RecurrentLM"
            )
        self.network: nn.Module = made

    def forward(self, token: Tensor) -> Tensor:
        """Logits of the token that follows each, (B, T) -> (B, T, V)."""
        logits: Tensor = self.network(token)
        return logits

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        network = self.network
        assert isinstance(network, WritingNetwork)
        token = token_input("token", self.vocab_size, longest=network.context)
        return Interface((token,), "logits", "logits of the token that follows each")

    def logits_and_targets(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Logits of the next token at each place of a batch, and that token."""
        return self(batch.token), batch.target

    def log_terms(self, stage: Literal["train", "val", "test"], terms: NamedTuple, batch: Any) -> None:
        """Log the terms; evaluated, also the bits that a character of the text takes, whatever the tokens are."""
        super().log_terms(stage, terms, batch)
        if stage != "train":
            assert isinstance(terms, TokenTerms)
            characters = batch.characters.sum()
            bits = terms.nll * batch.tokens / (math.log(2) * characters)
            self.log_means({f"{stage}/bits_per_character": bits}, batch, characters)

    def write(
        self, prompt: Tensor, n: int, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
    ) -> Tensor:
        """Go on with texts, drawing each token with the global random number generator of the model's device.

        Args:
            prompt: int64 (B, P), what the texts begin with; PAD on the left of shorter ones.
            n: tokens to add.
            temperature: by which logits are divided; 0 takes the likeliest token always.
            top_k: draw from so many of the likeliest tokens only.
            top_p: draw from the fewest tokens only that have this share of the probability (Holtzman et al. 2020).

        Returns:
            int64 (B, P + n), prompts and what follows them.
        """
        network = self.network
        assert isinstance(network, WritingNetwork)
        return generate(network.advance, prompt, n, network.context, temperature, top_k, top_p)

    def attention(self, batch: Any) -> dict[str, Tensor]:
        """Weights with which each place attends to those before it, by layer, (B, H, T, T); none if it does not."""
        with recorded_attention(self.network) as maps:
            self(batch.token)
        return {f"decoder/layer {place}": weights for place, weights in enumerate(maps.values(), 1)}

    def axes(self, batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """Tokens that the rows and the columns of the maps stand for, (B, T) each."""
        return {"decoder": (batch.token, batch.token)}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Negative log-likelihood of each sequence in nats, summed over its targets, and how many these are."""
        losses = token_losses(self(batch.token), batch.target, PAD)
        asked = (batch.target != PAD).sum(1)
        return {"nll": losses.nll.sum(1), "tokens": asked, "index": batch.index}
