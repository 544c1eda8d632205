"""Sequence to sequence: translation by a transformer or by a recurrent network with attention."""

import warnings
from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from lit_models.base import OptimizerFactory, SchedulerFactory
from lit_models.token_technique import Detokenising, TokenTechnique
from metrics import TranslationScores, signatures
from networks import Interface, TransformerSeq2Seq, beam_search, recorded_attention, token_input

PairNetworkFactory = Callable[[int], nn.Module]


@runtime_checkable
class TranslatingNetwork(Protocol):
    """A network that writes what belongs to a source, token by token."""

    def start(self, source: Tensor) -> Any:
        """The state before the first token, of sources (B, S)."""

    def advance(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (B, T, V) of what follows each token (B, T), and the state after them."""


class Seq2Seq(TokenTechnique):
    """Reads a sequence, and writes the one that belongs to it, token by token.

    Sources: Vaswani et al., "Attention Is All You Need" (2017) for the transformer; Bahdanau, Cho and Bengio, "Neural
    Machine Translation by Jointly Learning to Align and Translate" (2015) and Luong, Pham and Manning, "Effective
    Approaches to Attention-based Neural Machine Translation" (2015) for the recurrent network.

    In training the right tokens stand before each that is asked for. `test`, and `validate` as a command of its own,
    search the likeliest sequence instead, and score it as text.

    Args:
        vocab_size: V, number of tokens of both sides together; the CLI takes it from the data.
        network: makes the network from V; `TransformerSeq2Seq` if not given, or `RecurrentSeq2Seq`.
        label_smoothing: see `TokenTechnique`.
        beam: hypotheses that the search goes on with in each step; with 1 it is greedy.
        length_penalty: exponent of the length by which the score of a hypothesis is divided (Wu et al. 2016); 0 favours
            short ones, larger values long ones.
        max_tokens: most tokens of what is written.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    def __init__(
        self,
        vocab_size: int,
        network: PairNetworkFactory | None = None,
        label_smoothing: float = 0.1,
        beam: int = 5,
        length_penalty: float = 1.0,
        max_tokens: int = 200,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(vocab_size, label_smoothing, optimizer, scheduler, scheduler_interval)
        for name, size in {"beam": beam, "max_tokens": max_tokens}.items():
            if size < 1:
                raise ValueError(f"{name} is {size}: choose 1 or more")
        if length_penalty < 0:
            raise ValueError(f"length_penalty is {length_penalty}: choose 0 for none, or more")
        made = (network or TransformerSeq2Seq)(vocab_size)
        if not isinstance(made, TranslatingNetwork):
            raise ValueError(
                f"network is {type(made).__name__}, which cannot write what belongs to a source: choose one with "
                "start() and advance(), such as TransformerSeq2Seq or RecurrentSeq2Seq"
            )
        self.network: nn.Module = made
        self.beam = beam
        self.length_penalty = length_penalty
        self.max_tokens = max_tokens
        self.scores = TranslationScores()

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of the token that follows each of a target, (B, S) and (B, T) -> (B, T, V).

        Args:
            source: int64, ends with EOS, PAD behind it.
            target: int64, begins with BOS, PAD behind its end.
        """
        logits: Tensor = self.network(source, target)
        return logits

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        longest = getattr(self.network, "context", None)  # of a network that has a limit
        source = token_input("source", self.vocab_size, "source_length", longest)
        target = token_input("target", self.vocab_size, "target_length", longest)
        return Interface((source, target), "logits", "logits of the token that follows each of the target")

    def logits_and_targets(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Logits of each token of the targets from those before it, and the token."""
        return self(batch.source, batch.target[:, :-1]), batch.target[:, 1:]

    def translate(self, source: Tensor) -> Tensor:
        """The likeliest sequences that a search finds, int64 (B, S) -> (B, T), each ends with EOS, PAD behind it."""
        limit = torch.full((len(source),), self.max_tokens, device=source.device)
        network = self.network
        assert isinstance(network, TranslatingNetwork)
        return beam_search(network.advance, network.start(source), limit, self.beam, self.length_penalty)[0]

    def on_validation_start(self) -> None:
        """Say so if there is nothing that could write tokens as text."""
        self._warn_of_no_text()

    on_test_start = on_validation_start

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the terms of the loss, and outside of training score what is written."""
        super().validation_step(batch, batch_idx)
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self._score(batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the terms of the loss, and score what is written."""
        super().test_step(batch, batch_idx)
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the translations."""
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores of the translations."""
        self._log_scores("test")

    @property
    def _data(self) -> Detokenising | None:
        data = getattr(self.trainer, "datamodule", None)
        return data if isinstance(data, Detokenising) else None

    def _warn_of_no_text(self) -> None:
        if self._data is None and self.trainer.state.fn != TrainerFn.FITTING:
            warnings.warn("BLEU, chrF and exact_match need a DataModule with decode()", stacklevel=1)

    def _texts(self, rows: Tensor) -> list[str]:
        assert self._data is not None
        return [self._data.decode(row) for row in rows.cpu()]

    def _score(self, batch: Any) -> None:
        if self._data is not None:
            written = self._texts(self.translate(batch.source))
            self.scores.update(self._texts(batch.source), written, self._texts(batch.target))

    def _log_scores(self, stage: str) -> None:
        if self._data is not None:
            for name, score in self.scores.compute().items():
                self.log(f"{stage}/{name}", score)
            self.scores.reset()

    @property
    def measured_with(self) -> dict[str, str | int]:
        """How the scores of the translations were computed."""
        return dict(signatures()) if self._data is not None else {}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """What is written for each sequence of a batch, as text.

        Raises:
            ValueError: if the data cannot write tokens as text.
        """
        if self._data is None:
            raise ValueError("data: translations are written as text, choose data with decode(), such as ParallelText")
        return {"hypothesis": self._texts(self.translate(batch.source)), "index": batch.index}

    def attention(self, batch: Any) -> dict[str, Tensor]:
        """Weights of each layer by kind, (B, H, T, S): within the source, within the target, from target to source."""
        with recorded_attention(self.network) as maps:
            self(batch.source, batch.target[:, :-1])
        named: dict[str, Tensor] = {}
        for module, weights in maps.items():
            kind = "encoder" if module.startswith("encoder") else "cross" if "cross" in module else "decoder"
            named[f"{kind}/layer {1 + sum(name.startswith(kind) for name in named)}"] = weights
        return named

    def axes(self, batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """Tokens that the rows and the columns of the maps of each kind stand for, (B, T) and (B, S)."""
        read, written = batch.source, batch.target[:, :-1]
        return {"encoder": (read, read), "decoder": (written, written), "cross": (written, read)}
