"""The generative adversarial network."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam

from lit_models.alternating import AlternatingTechnique, Player, Terms
from lit_models.base import OptimizerFactory, SchedulerFactory
from metrics import KnownModes, ModeCoverage, SampleQuality
from networks import (
    DifferentiableAugmentation,
    FeatureExtractor,
    Input,
    Interface,
    MLPDiscriminator,
    MLPGenerator,
    MovingAverage,
    Noise,
    class_input,
    data_input,
)
from objectives import GAMES, AdversarialLoss, gradient_penalty, r1_penalty

GeneratorFactory = Callable[[int, Sequence[int], int], nn.Module]
DiscriminatorFactory = Callable[[Sequence[int], int], nn.Module]

_WASSERSTEIN_PENALTY = 10.0  # Gulrajani et al. (2017)


class Hand(NamedTuple):
    """What a turn is played with: real examples, latent codes, classes if the model is conditional, and more noise."""

    x: Tensor
    z: Tensor
    label: Tensor | None
    noise: Noise


class GAN(AlternatingTechnique):
    """A generator G that maps noise to examples, and a discriminator D that tells them from real ones.

    Every training batch is a step of D on real and generated examples, and every `discriminator_steps`-th also one of
    G. `forward`, samples, metrics and predictions are those of a moving average of G. Lightning's `max_steps` counts
    the steps of G.

    Source: Goodfellow et al., "Generative Adversarial Nets" (2014), algorithm 1; the losses and penalties name theirs.

    Args:
        data_shape: of one example, (C, H, W) or (D,); the CLI takes it from the data.
        num_classes: classes of the data; the CLI takes it from them.
        latent_dim: dimensions of the noise z, which is standard normal.
        generator: makes G; `MLPGenerator` if not given.
        discriminator: makes D; `MLPDiscriminator` if not given.
        loss: the game, by name; see `objectives/adversarial.py`.
        conditional: tell both players the class of each example.
        discriminator_steps: steps of D to one of G.
        gradient_penalty: weight of the penalty on gradients of D between real and generated examples; if not given,
            10 for the Wasserstein loss and 0 for the others.
        r1: weight of the penalty on gradients of D at real examples.
        augmentation: of all that D sees.
        gradient_clip: largest norm of each player's gradient; none if not given.
        accumulate: parts that a batch is computed in one after another, for batches that need too much memory. Batch
            normalisation sees one part at a time.
        ema_decay: of the moving average of G, for each of its steps; 0 for G itself.
        features: in which the metrics compare samples and data; the values themselves if not given.
        generator_optimizer: makes G's optimizer; Adam with rate 2e-4 and betas (0.5, 0.999) if not given.
        discriminator_optimizer: makes D's optimizer; the same if not given.
        generator_scheduler: makes a learning-rate scheduler for G's optimizer, which takes a step with it.
        discriminator_scheduler: the same for D.
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        num_classes: int = 0,
        latent_dim: int = 64,
        generator: GeneratorFactory | None = None,
        discriminator: DiscriminatorFactory | None = None,
        loss: AdversarialLoss = "non_saturating",
        conditional: bool = False,
        discriminator_steps: int = 1,
        gradient_penalty: float | None = None,
        r1: float = 0.0,
        augmentation: DifferentiableAugmentation | None = None,
        gradient_clip: float | None = None,
        accumulate: int = 1,
        ema_decay: float = 0.999,
        features: FeatureExtractor | None = None,
        generator_optimizer: OptimizerFactory | None = None,
        discriminator_optimizer: OptimizerFactory | None = None,
        generator_scheduler: SchedulerFactory | None = None,
        discriminator_scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__(
            {
                "generator": Player(generator_optimizer or _adam, generator_scheduler, discriminator_steps),
                "discriminator": Player(discriminator_optimizer or _adam, discriminator_scheduler),
            },
            gradient_clip,
            accumulate,
        )
        if gradient_penalty is None:
            gradient_penalty = _WASSERSTEIN_PENALTY if loss == "wasserstein" else 0.0
        if loss not in GAMES:
            raise ValueError(f"loss is {loss!r}: choose one of {', '.join(GAMES)}")
        if conditional and not num_classes:
            raise ValueError("conditional is True: the data have no classes to tell the players")
        if not 0 <= ema_decay < 1:
            raise ValueError(f"ema_decay is {ema_decay}: give a share in [0, 1)")
        for name, value in {"latent_dim": latent_dim, "discriminator_steps": discriminator_steps}.items():
            if value < 1:
                raise ValueError(f"{name} is {value}: give 1 or more")
        for name, weight in {"gradient_penalty": gradient_penalty, "r1": r1}.items():
            if weight < 0:
                raise ValueError(f"{name} is {weight}: a weight cannot be negative")
        self.game = GAMES[loss]
        self.data_shape = tuple(data_shape)
        self.latent_dim = latent_dim
        self.conditional = conditional
        self.num_classes = num_classes if conditional else 0
        self.penalty_weight = gradient_penalty
        self.r1 = r1
        self.augmentation = augmentation
        self.generator = (generator or MLPGenerator)(latent_dim, self.data_shape, self.num_classes)
        self.discriminator = (discriminator or MLPDiscriminator)(self.data_shape, self.num_classes)
        for name, weight in {"gradient_penalty": gradient_penalty, "r1": r1}.items():
            if weight and any(isinstance(layer, _BatchNorm) for layer in self.discriminator.modules()):
                raise ValueError(
                    f"{name} is {weight}: it needs the gradient of each example alone, which batch normalisation "
                    "mixes, so give a discriminator without"
                )
        self.average = MovingAverage(self.generator, ema_decay)
        self.quality = SampleQuality(features, data_shape)
        self._compared: dict[str, int] = {}

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Examples of latent codes, (B, latent_dim) and int64 (B,) -> (B, *data_shape), by the averaged generator.

        A conditional model that is given no classes takes class 0.
        """
        if self.conditional and label is None:
            label = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        example: Tensor = self.average(z, label)
        return example

    def interface(self) -> Interface:
        """What `forward` takes and gives; the class is none of a model that is not conditional."""
        z = Input("z", "latent code, standard normal", (self.latent_dim,), "float32")
        label = (class_input("label", self.num_classes),) if self.conditional else ()
        example = data_input("image" if len(self.data_shape) == 3 else "point", self.data_shape)
        return Interface((z, *label), example.name, f"generated {example.name}", of_classes=self.conditional)

    @property
    def measured_with(self) -> dict[str, str | int]:
        """The features in which the metrics compared examples last, and how many of both kinds."""
        return {"features": self.quality.description, **self._compared}

    def prior(self, n: int) -> Tensor:
        """Draw n latent codes, (n, latent_dim)."""
        return torch.randn(n, self.latent_dim, device=self.device)

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """As `forward`, in float32."""
        return self(z, label).float()  # type: ignore[no-any-return]

    def sample(self, n: int, label: int | None = None) -> Tensor:
        """Draw n examples, (n, *data_shape): of one class, or of the classes that `labels_of` names."""
        return self.decode(self.prior(n), self.labels_of(n, label))

    def labels_of(self, n: int, label: int | None = None) -> Tensor | None:
        """Classes of n samples, int64 (n,): one class, or all in turn; None of a model that is not conditional.

        Raises:
            ValueError: if there is no such class.
        """
        if not self.conditional:
            if label is not None:
                raise ValueError(f"label is {label}: this model was trained without classes, leave it out")
            return None
        if label is None:
            return torch.arange(n, device=self.device) % self.num_classes
        if not 0 <= label < self.num_classes:
            raise ValueError(f"label is {label}: choose one of the classes 0 to {self.num_classes - 1}")
        return torch.full((n,), label, device=self.device)

    def discriminator_terms(self, hand: Hand, fake: Tensor) -> Terms:
        """Loss of D and what it consists of; the gradients of the generated examples are cut off."""
        fake = fake.detach()
        score_x, score_gz = self._score(hand.x, hand), self._score(fake, hand)
        loss = self.game.discriminator(score_x, score_gz)
        terms = self._outputs(score_x, score_gz)
        critic = partial(self.discriminator, label=hand.label)
        if self.penalty_weight:
            terms["gradient_penalty"] = gradient_penalty(critic, hand.x, fake, hand.noise.uniform())
            loss = loss + self.penalty_weight * terms["gradient_penalty"]
        if self.r1:
            terms["r1"] = r1_penalty(critic, hand.x)
            loss = loss + self.r1 * terms["r1"]
        return {"discriminator_loss": loss, **terms}

    def generator_terms(self, hand: Hand, fake: Tensor) -> Terms:
        """Loss of G for generated examples."""
        return {"generator_loss": self.game.generator(self._score(fake, hand))}

    def _score(self, x: Tensor, hand: Hand) -> Tensor:
        """Scores of D, (B,), for examples that are augmented if they are to be."""
        seen = x if self.augmentation is None else self.augmentation(x, hand.noise)
        score: Tensor = self.discriminator(seen, hand.label)
        return score

    def _outputs(self, score_x: Tensor, score_gz: Tensor) -> Terms:
        """Mean outputs of D: `d_x` and `d_gz` are probabilities, where the game has none they are scores."""
        scores = {"x": score_x.detach().float(), "gz": score_gz.detach().float()}
        if self.game.probabilistic:
            return {f"d_{name}": score.sigmoid().mean() for name, score in scores.items()}
        return {f"score_{name}": score.mean() for name, score in scores.items()}

    def _deal(self, batch: Any) -> Hand:
        noise = self.noise(batch)
        return Hand(batch.x, noise.normal(self.latent_dim), batch.label if self.conditional else None, noise)

    def training_step(self, batch: Any, batch_idx: int) -> Terms:
        """A step of D, and with every `discriminator_steps`-th one of G."""
        hands = [self._deal(part) for part in self.parts(batch)]
        shares = [len(hand.x) / len(batch.index) for hand in hands]
        moves = self.moves("generator")
        one_graph = moves and len(hands) == 1  # of the examples that both players are shown
        with torch.set_grad_enabled(one_graph):
            fakes = [self.generator(hand.z, hand.label) for hand in hands]
        terms = self.turn("discriminator", self.discriminator_terms, zip(hands, fakes, strict=True), shares)
        if moves:
            again = ((hand, self.generator(hand.z, hand.label)) for hand in hands)
            shown = zip(hands, fakes, strict=True) if one_graph else again
            terms |= self.turn("generator", self.generator_terms, shown, shares)
            self.average.update(self.generator, self.trainer.global_step)
        self.batch_step += 1
        self.log_training(terms)
        return {name: value for name, value in terms.items() if name.endswith("_loss")}

    def setup(self, stage: str) -> None:
        """Look whether the modes of the data are known."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, KnownModes):
            self.quality.coverage = ModeCoverage(data.modes, data.mode_std)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Compare as many generated examples with the validation part."""
        self._compare("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Compare as many generated examples with the test part."""
        self._compare("test", batch)

    def _compare(self, stage: Literal["val", "test"], batch: Any) -> None:
        hand = self._deal(batch)
        self.quality.update(hand.x, self.decode(hand.z, hand.label))
        scores = (self.discriminator(x, hand.label) for x in (hand.x, self.generator(hand.z, hand.label)))
        self.log_means({f"{stage}/{name}": value for name, value in self._outputs(*scores).items()}, batch)

    def _log_quality(self, stage: Literal["val", "test"]) -> None:
        values = self.quality.compute()
        self._compared = {name: int(values.pop(name)) for name in ("n_real", "n_generated")}
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})
        self.quality.reset()

    def on_validation_epoch_end(self) -> None:
        """Log how good the generated examples are."""
        self._log_quality("val")

    def on_test_epoch_end(self) -> None:
        """Log how good the generated examples are."""
        self._log_quality("test")

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """A generated example for each of a batch, of its class if the model is conditional."""
        hand = self._deal(batch)
        label = {} if hand.label is None else {"label": hand.label}
        return {"sample": self.decode(hand.z, hand.label), "index": batch.index, **label}


def _adam(parameters: Iterable[nn.Parameter]) -> Adam:
    """As in DCGAN: little momentum, because the other player changes the loss with every step."""
    return Adam(parameters, lr=2e-4, betas=(0.5, 0.999))
