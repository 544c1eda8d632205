"""The stack: layers pretrained one by one without labels, then trained as a whole with them."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lit_models.base import OptimizerFactory, SchedulerFactory
from lit_models.classifier import Classifier
from networks import RBM, AutoencoderLayer, ImageShape, LayerStep, StackLayer, StackNetwork

LayerFactory = Callable[[int], StackLayer]

READOUT, FINE_TUNING = "readout", "fine_tuning"
# what torch.load raises for a file that is no checkpoint, was cut short or changed, or holds code
_UNREADABLE = (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError)


class StackedClassifier(Classifier):
    """A stack of layers that learn to represent their input, and a classifier that begins with what they learned.

    `layers` is the unsupervised model, which the callback `GreedyPretraining` trains from the image upwards, each layer
    on the codes of those below. `network` is the classifier: it takes the weights of the layers' encoders over when
    pretraining is done, and is trained with labels. The layers stay as they were, so that reconstructions, and samples
    where the stack can sample, are those of the unsupervised model also after fine-tuning. Without pretraining it is a
    fully connected classifier.

    Source: Bengio et al., "Greedy Layer-Wise Training of Deep Networks" (2007).

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        num_classes: number of classes, K; the CLI takes it from the data.
        layers: make the layers from the widths of their inputs, from the image upwards; two of 256 and 128 units if
            not given.
        dropout: share of each hidden layer's units that fine-tuning leaves out.
        pretrained: checkpoint of another stack, whose lowest layers training begins with.
        label_smoothing: see `Classifier`.
        optimizer: of the head in the phase `readout` and of the classifier in fine-tuning; see `SingleLossTechnique`.
        scheduler: of fine-tuning; see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.

    Attributes:
        phase: what is trained in a fit with pretraining: `layer1`, `layer2`, ..., the head in `readout`, or the
            classifier in `fine_tuning`.
        codes: the phase's input for every training image, (N, D), where it is cached.
        reference: the phase's input for some training images, (M, D).

    Raises:
        ValueError: if there is no layer, or one cannot stand on the one below.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        layers: Sequence[LayerFactory] | None = None,
        dropout: float = 0.0,
        pretrained: str | None = None,
        label_smoothing: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        shape = ImageShape(*image_shape)
        stack = self.stack(shape.numel, layers)
        super().__init__(
            image_shape,
            num_classes,
            lambda _, classes: StackNetwork(stack, classes, dropout),
            label_smoothing,
            optimizer=optimizer,
            scheduler=scheduler,
            scheduler_interval=scheduler_interval,
        )
        self.hparams.pop("network", None)  # an argument of the base class, not of this one
        self.layers = nn.ModuleList(stack).requires_grad_(False)  # until they are pretrained
        self.pretrained = pretrained
        self.phase: str | None = None
        self.codes: Tensor | None = None
        self.reference: Tensor | None = None
        self._steps_before = 0

    @staticmethod
    def stack(width: int, layers: Sequence[LayerFactory] | None) -> list[StackLayer]:
        """Build the layers, from the width of an image upwards.

        Raises:
            ValueError: if there is none, or one cannot stand on the one below.
        """
        if layers is None:
            layers = [lambda width: AutoencoderLayer(width, 256), lambda width: AutoencoderLayer(width, 128)]
        if not layers:
            raise ValueError("layers is []: a stack needs at least one")
        stack: list[StackLayer] = []
        for place, factory in enumerate(layers, 1):
            layer = factory(width)
            if layer.takes_unit_interval and stack and not stack[-1].gives_unit_interval:
                raise ValueError(
                    f"layers: layer {place} takes inputs in [0, 1], and the codes of layer {place - 1} are others: "
                    "choose the activation sigmoid below, or the reconstruction mse above"
                )
            stack.append(layer)
            width = layer.encoder.out_features
        return stack

    @property
    def pretrains(self) -> bool:
        """Whether the phase at hand comes before the training of the whole."""
        return self.phase not in (None, FINE_TUNING)

    @property
    def hidden_layers(self) -> dict[str, nn.Module]:
        """The classifier's linear layers by name, from the image upwards."""
        hidden = {f"layer{place}": part.get_submodule("0") for place, part in enumerate(self._network.hidden, 1)}
        return hidden | {"head": self._network.head}

    def setup(self, stage: str) -> None:
        """Begin a training with the layers of the other stack, if one is named.

        Raises:
            ValueError: if they cannot be read, or are of other sizes.
        """
        if stage == "fit" and self.pretrained is not None:
            saved = _layers_of(self.pretrained)
            for place, layer in enumerate(self.layers):
                own, name = layer.state_dict(), f"layers.{place}."
                there = {key.removeprefix(name): value for key, value in saved.items() if key.startswith(name)}
                if {key: value.shape for key, value in own.items()} != {k: v.shape for k, v in there.items()}:
                    raise ValueError(
                        f"pretrained is {self.pretrained!r}: its layer {place + 1} is not like that of this model, "
                        "give both the same layers"
                    )
                layer.load_state_dict(there)
            self.take_over()

    def take_over(self) -> None:
        """Give the classifier the weights of the layers' encoders."""
        self._network.take_over(self._stack)

    def enter(self, phase: str | None, steps_before: int = 0) -> Iterable[nn.Parameter]:
        """Begin a phase: all but what it trains is frozen and in eval mode.

        Args:
            phase: one that `phase` can be; None for none, in which nothing is frozen.
            steps_before: optimizer steps before the phase, which its schedule leaves out.

        Returns:
            The parameters that the phase trains.
        """
        self.phase, self._steps_before = phase, steps_before
        self.codes = self.reference = None
        if phase is None:
            self.train().requires_grad_(True)
            self.layers.requires_grad_(False)
            return self.network.parameters()
        self.eval().requires_grad_(False)
        self._trained.train().requires_grad_(True)
        self.training = True
        return self._trained.parameters()

    def phase_input(self, image: Tensor) -> Tensor:
        """What the phase at hand is trained on, from images (B, C, H, W): the codes of what lies below, (B, D)."""
        if self.phase == READOUT:
            return self._network.features(image)
        x = image.flatten(1)
        for layer in self._stack[: self._place]:
            x = layer.encode(x)
        return x

    def embed(self, image: Tensor) -> Tensor:
        """Codes of the layer that is pretrained, or the classifier's features, (B, C, H, W) -> (B, D)."""
        if self._layer is not None:
            return self._layer.encode(self.phase_input(image))
        return self._network.features(image)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Encode images up to the highest pretrained layer and decode them again, clipped to [0, 1]."""
        layers = self._stack[: self._place + 1]
        x = image.flatten(1)
        for layer in layers:
            x = layer.encode(x)
        for layer in reversed(layers):
            x = layer.decode(x)
        return x.float().clamp(0, 1).view(-1, *self.image_shape)

    def filters(self) -> Tensor:
        """Weights of the first layer as images, (units, C, H, W): the classifier's, once it has taken them over."""
        first = self._stack[0].encoder if self._layer is not None else self._network.hidden[0].get_submodule("0")
        return first.get_parameter("weight").detach().view(-1, *self.image_shape)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Take a step of the phase at hand."""
        if not self.pretrains:
            return super().training_step(batch, batch_idx)
        with torch.no_grad():
            x = self.codes[batch.index] if self.codes is not None else self.phase_input(batch.image)
        if self._layer is not None:
            terms = self._layer.loss(x, self._step(batch))
        else:
            terms = self.terms(batch, self._network.head(x))._asdict()
        self.log_training(terms, f"pretrain/{self.phase}")
        self.batch_step += 1
        return next(iter(terms.values()))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log how well the phase at hand does, as means over the validation part."""
        if not self.pretrains:
            super().validation_step(batch, batch_idx)
            return
        if self._layer is not None:
            terms = self._layer.evaluate(self.phase_input(batch.image), self._step(batch))
        else:
            terms = self.loss(batch)._asdict()
        self.log_means({f"pretrain/{self.phase}/val_{name}": value for name, value in terms.items()}, batch)

    def on_validation_epoch_end(self) -> None:
        """Log by how much the free energy of validation data lies above that of as good as as many training data.

        A gap that widens is overfitting. Source: Hinton, "A Practical Guide to Training Restricted Boltzmann Machines"
        (2010), section 6.
        """
        if isinstance(self._layer, RBM) and self.reference is not None:
            held_out = self._means[f"pretrain_{self.phase}_val_free_energy"]
            gap = held_out.compute() - self._layer.free_energy(self.reference).mean()  # type: ignore[operator]
            self.log(f"pretrain/{self.phase}/free_energy_gap", gap)

    def trained_parameters(self) -> Iterable[nn.Parameter]:
        """Those of the phase at hand."""
        return self._trained.parameters()

    @property
    def steps_to_schedule(self) -> float:
        """Steps of fine-tuning."""
        return super().steps_to_schedule - self._steps_before

    def configure_optimizers(self) -> Any:
        """Build the optimizer of the head at a constant rate in `readout`, else that of the classifier."""
        if self.phase == READOUT:
            return self._make_optimizer(self.trained_parameters())
        return super().configure_optimizers()

    def _step(self, batch: Any) -> LayerStep:
        number = self.trainer.fit_loop.epoch_loop.total_batch_idx
        return LayerStep(self.noise(batch), number, self.training and self.logs_now, self.mean_over_processes)

    @property
    def _stack(self) -> list[StackLayer]:
        return list(self.layers)  # type: ignore[arg-type]

    @property
    def _network(self) -> StackNetwork:
        assert isinstance(self.network, StackNetwork)
        return self.network

    @property
    def _place(self) -> int:
        """Of the layer that is pretrained; of the highest if none is."""
        if self.phase is None or not self.phase.startswith("layer"):
            return len(self.layers) - 1
        return int(self.phase.removeprefix("layer")) - 1

    @property
    def _layer(self) -> StackLayer | None:
        return self._stack[self._place] if self.phase is not None and self.phase.startswith("layer") else None

    @property
    def _trained(self) -> nn.Module:
        return self._layer or (self._network.head if self.phase == READOUT else self._network)


def _layers_of(path: str) -> dict[str, Tensor]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"pretrained is {path!r}: there is no such file") from None
    except _UNREADABLE:
        saved = None
    weights = saved.get("state_dict") if isinstance(saved, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"pretrained is {path!r}: it is no checkpoint, or a damaged one")
    return {name: value for name, value in weights.items() if str(name).startswith("layers.")}
