"""Classification of texts, by a network that has learned to fill in their blanks, or from scratch."""

from typing import Any, Literal

from torch import Tensor, nn

from lit_models.base import OptimizerFactory, SchedulerFactory, label_and_index
from lit_models.classifier import ClassifierTerms, classification_terms
from lit_models.fine_tuning import FineTuned, check_rates
from lit_models.masked_language_model import MaskedNetworkFactory
from lit_models.pretrained_texts import masked_language_model, take_over
from networks import Interface, MaskedTransformer, Pooling, TextClassifier, TextEncoder, TokenEncoder, token_input


class SequenceClassifier(FineTuned):
    """Tells the class of a text from the mean of what an encoder makes of its tokens.

    The encoder is that of a `MaskedLanguageModel`, with its weights or with random ones, and the layer above is new.
    The callback `Unfreezing` says what is trained when; without it, everything is.

    Source: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), for a language
    model that goes on as a classifier; Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
    Language Understanding" (2019), for one of masked tokens.

    Args:
        vocab_size: V, number of tokens; the CLI takes it from the data.
        num_classes: number of classes, K; the CLI takes it from the data.
        context: tokens that a text has at most, None where the data set no limit; the CLI takes it from the data.
        network: makes the encoder from V and the context. If not given, that of the weights, and `MaskedTransformer`
            without any.
        weights: checkpoint of a `MaskedLanguageModel`, the folder of its run, or its id in `runs`; None for random
            ones. The data have to write their texts in the tokens of that run, which the CLI lets them do.
        pooling: how the vectors of the tokens become one, `mean` or `max`.
        dropout: share of its entries that are left out in training.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1).
        backbone_rate: see `FineTuned`.
        layer_decay: see `FineTuned`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.

    Raises:
        ValueError: if an argument is impossible, or the weights, the network and the data do not belong together.
    """

    def __init__(
        self,
        vocab_size: int,
        num_classes: int,
        context: int | None = None,
        network: MaskedNetworkFactory | None = None,
        weights: str | None = None,
        pooling: Pooling = "mean",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        backbone_rate: float = 1.0,
        layer_decay: float = 1.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(optimizer, scheduler, scheduler_interval)
        check_rates(backbone_rate, layer_decay)
        if num_classes < 2:
            raise ValueError(
                f"num_classes is {num_classes}: a classifier needs data with labels of two or more classes"
            )
        for name, share in {"dropout": dropout, "label_smoothing": label_smoothing}.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} is {share}: it is a share, in [0, 1)")
        encoder = _encoder(vocab_size, context, network, weights)
        self.vocab_size = vocab_size
        self.network = TextClassifier(TextEncoder(encoder, pooling), num_classes, dropout)
        self.label_smoothing = label_smoothing
        self.backbone_rate = backbone_rate
        self.layer_decay = layer_decay

    @property
    def backbone(self) -> TextEncoder:
        """The encoder, with one vector for each text."""
        return self.network.backbone

    @property
    def head(self) -> nn.Linear:
        """The new classification layer."""
        return self.network.head

    @property
    def mixes(self) -> bool:
        """Texts are never mixed."""
        return False

    def forward(self, token: Tensor) -> Tensor:
        """Logits of the classes of texts, int64 (B, T) -> (B, K); PAD on the right of shorter ones."""
        logits: Tensor = self.network(token)
        return logits

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        token = token_input("token", self.vocab_size, longest=self.network.backbone.context)
        return Interface((token,), "logits", "logits of the classes", of_classes=True)

    def embed(self, token: Tensor) -> Tensor:
        """Vectors that the classes are told from, (B, T) -> (B, D)."""
        feature: Tensor = self.backbone(token)
        return feature

    def feature_maps(self, token: Tensor) -> None:
        """Texts have no maps with a height and a width."""
        return None

    def loss(self, batch: Any) -> ClassifierTerms:
        """Cross-entropy and accuracy of a labelled batch."""
        return self.terms(batch, self(batch.token))

    def terms(self, batch: Any, logits: Tensor) -> ClassifierTerms:
        """Cross-entropy and accuracy of logits (B, K) for the labels of a batch."""
        return classification_terms(logits, batch.label, self.label_smoothing)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Log the terms of the loss as means over the test part, and give the probabilities of the classes."""
        logits = self(batch.token)
        self.log_terms("test", self.terms(batch, logits), batch)
        return {"probability": logits.float().softmax(1), **label_and_index(batch)}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Vectors and predicted classes of a batch, with the labels where known."""
        feature = self.embed(batch.token)
        predicted = self.network.classify(feature).argmax(1)
        return {"latent": feature, "predicted": predicted, **label_and_index(batch)}


def _encoder(
    vocab_size: int, context: int | None, network: MaskedNetworkFactory | None, weights: str | None
) -> nn.Module:
    pretrained = None if weights is None else masked_language_model(weights, vocab_size)
    if pretrained is not None and network is None:
        made = pretrained.network
    else:
        made = (network or MaskedTransformer)(vocab_size, context)
    if not isinstance(made, TokenEncoder):
        raise ValueError(
            f"network is {type(made).__name__}, which cannot encode tokens: choose one with encode(), drop_output(), "
            "width and context, such as MaskedTransformer or MaskedRecurrent"
        )
    if made.context is not None and (context is None or context > made.context):
        raise ValueError(
            f"context of the data is {context}: weights {weights!r} read {made.context} tokens at most, set "
            f"data.init_args.context to {made.context}"
        )
    if pretrained is not None and made is not pretrained.network:
        take_over(made, pretrained.network, str(weights))
    return made
