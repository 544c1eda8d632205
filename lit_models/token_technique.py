"""What techniques share that learn to say tokens."""

from abc import abstractmethod
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from lit_models.base import OptimizerFactory, SchedulerFactory
from lit_models.parameter_groups import decay_groups
from lit_models.single_loss import SingleLossTechnique
from metrics import Perplexity
from networks import PAD
from objectives import token_losses


class TokenTerms(NamedTuple):
    """Terms of the loss, means over the targets of a batch.

    Attributes:
        total: cross-entropy with the smoothed target, in nats a token, which is minimised.
        nll: negative log-likelihood, in nats a token.
        token_accuracy: share of the tokens that are the likeliest ones, in [0, 1].
    """

    total: Tensor
    nll: Tensor
    token_accuracy: Tensor


@runtime_checkable
class Detokenising(Protocol):
    """Data that can write tokens as text."""

    def decode(self, tokens: Tensor) -> str:
        """The text of tokens, int64 (T,), up to the end of the sequence."""


class TokenTechnique(SingleLossTechnique):
    """Trains by the likelihood of tokens, in which each token counts once however they are batched.

    A step of the optimizer follows the mean over all targets of its batches, of all processes and of all that are
    accumulated: a mean of their means would give a token of a short sentence more weight.

    Weight decay, where the optimizer has any, is for matrices only, see `decay_groups`.

    Args:
        vocab_size: V, number of tokens; the CLI takes it from the data.
        label_smoothing: share of the target that is spread evenly over the vocabulary in training, in [0, 1).
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    def __init__(
        self,
        vocab_size: int,
        label_smoothing: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(optimizer, scheduler, scheduler_interval)
        if vocab_size <= PAD + 1:
            raise ValueError(f"vocab_size is {vocab_size}: a vocabulary has more than the token that fills up")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}: it is a share, in [0, 1)")
        self.vocab_size = vocab_size
        self.label_smoothing = label_smoothing
        self._first: Tensor | None = None  # tokens of the first batch of a step
        self._tokens = torch.zeros(())  # and of all its batches so far

    @abstractmethod
    def logits_and_targets(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) of a batch, and the tokens (B, T) that they are about; PAD where nothing is asked."""

    def loss(self, batch: Any) -> TokenTerms:
        """Terms of a batch, means over its targets."""
        logits, target = self.logits_and_targets(batch)
        return self.terms(logits, target, batch.tokens)

    def terms(self, logits: Tensor, target: Tensor, tokens: int | Tensor) -> TokenTerms:
        """Terms of logits (B, T, V) and targets (B, T), of which so many are asked for."""
        losses = token_losses(logits, target, PAD, self.label_smoothing)
        right = (logits.detach().argmax(-1) == target) & (target != PAD)
        count = tokens.clamp(min=1) if isinstance(tokens, Tensor) else max(1, tokens)
        return TokenTerms(*(values.sum() / count for values in (losses.smoothed, losses.nll, right)))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Log the terms, count the batch, and return its part of the step's loss."""
        terms: TokenTerms = self.loss(batch)
        weight: float | Tensor = 1.0
        if self.trainer.world_size > 1 or self.trainer.accumulate_grad_batches > 1:
            terms, weight = self._shared(terms, batch.tokens)
        self.log_terms("train", terms, batch)
        self.batch_step += 1
        return terms.total * weight

    def _shared(self, terms: TokenTerms, tokens: int | Tensor) -> tuple[TokenTerms, Tensor]:
        """This process's part of the terms of a batch of all processes, and that batch's weight in its step."""
        here, everywhere = self._counts(tokens)
        self._first = everywhere if self._first is None else self._first
        self._tokens = self._tokens.to(everywhere) + everywhere
        # the mean over processes, which DDP takes of gradients and the log of terms, is that over all tokens
        part = here * (self.trainer.world_size / everywhere)
        return TokenTerms(*(term * part for term in terms)), everywhere / self._first

    def _counts(self, tokens: int | Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of this process and of all, as scalars on the device that no one waits for."""
        here = torch.as_tensor(tokens, dtype=torch.float32, device=self.device)
        everywhere = here.clone()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(everywhere)
        return here, everywhere

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Divide what was accumulated by the number of its tokens; Lightning has divided by that of the batches."""
        if self._first is None:
            return
        if (batches := self.trainer.accumulate_grad_batches) > 1:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            torch._foreach_mul_(gradients, (batches * self._first / self._tokens).to(gradients[0]))
        self._first, self._tokens = None, torch.zeros(())

    def log_terms(self, stage: Literal["train", "val", "test"], terms: NamedTuple, batch: Any) -> None:
        """As `Technique.log_terms`, but evaluated means are over all tokens of the part, and perplexity joins them."""
        if stage == "train":
            super().log_terms(stage, terms, batch)
            return
        named = terms._asdict()
        self.log_means({f"{stage}/{name}": value for name, value in named.items()}, batch, batch.tokens)
        self.log_means({f"{stage}/perplexity": named["nll"]}, batch, batch.tokens, Perplexity)

    def make_optimizer(self) -> Optimizer:
        """Build the optimizer from its factory."""
        groups: list[Any] = decay_groups(self)
        return self._make_optimizer(groups)
