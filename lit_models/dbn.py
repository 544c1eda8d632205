"""The deep belief network."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from lit_models.base import OptimizerFactory, SchedulerFactory, TrainingImages
from lit_models.stacked import LayerFactory, StackedClassifier
from metrics import annealed_importance
from networks import RBM, BinaryRBM, FreshNoise, StackLayer
from networks.rbm import bernoulli


class DeepBeliefNetwork(StackedClassifier):
    """A stack of restricted Boltzmann machines: the highest is a prior of codes, those below generate downwards.

    Source: Hinton, Osindero and Teh, "A Fast Learning Algorithm for Deep Belief Nets" (2006).

    Args:
        image_shape: see `StackedClassifier`.
        num_classes: see `StackedClassifier`.
        layers: see `StackedClassifier`, each an `RBM`; two of 256 binary units if not given.
        dropout: see `StackedClassifier`.
        pretrained: see `StackedClassifier`.
        gibbs_steps: of the Markov chain in the highest machine for each sample.
        ais_chains: chains of annealed importance sampling, by which `test` estimates the likelihood of the first
            layer's machine; 0 for none.
        ais_temperatures: distributions on the way of each chain.
        label_smoothing: see `Classifier`.
        optimizer: see `StackedClassifier`.
        scheduler: see `StackedClassifier`.
        scheduler_interval: see `SingleLossTechnique`.

    Raises:
        ValueError: if a layer is none of the kind, or an argument is impossible.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        layers: Sequence[LayerFactory] | None = None,
        dropout: float = 0.0,
        pretrained: str | None = None,
        gibbs_steps: int = 500,
        ais_chains: int = 100,
        ais_temperatures: int = 1000,
        label_smoothing: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(
            image_shape,
            num_classes,
            layers,
            dropout,
            pretrained,
            label_smoothing,
            optimizer,
            scheduler,
            scheduler_interval,
        )
        if gibbs_steps < 1:
            raise ValueError(f"gibbs_steps is {gibbs_steps}: choose 1 or more")
        if ais_chains < 0 or ais_chains == 1:
            raise ValueError(f"ais_chains is {ais_chains}: choose 0 for no estimate, or 2 or more for its error")
        if ais_temperatures < 1:
            raise ValueError(f"ais_temperatures is {ais_temperatures}: choose 1 or more")
        self.gibbs_steps = gibbs_steps
        self.ais_chains = ais_chains
        self.ais_temperatures = ais_temperatures
        self._data_mean: Tensor | None = None

    @staticmethod
    def stack(width: int, layers: Sequence[LayerFactory] | None) -> list[StackLayer]:
        """Build the layers, from the width of an image upwards.

        Raises:
            ValueError: if there is none, or one that is no `RBM`.
        """
        if layers is None:
            layers = [lambda width: BinaryRBM(width, 256)] * 2
        stack = StackedClassifier.stack(width, layers)
        for place, layer in enumerate(stack, 1):
            if not isinstance(layer, RBM):
                raise ValueError(
                    f"layers: layer {place} is {type(layer).__name__}, which a deep belief network cannot draw from: "
                    "take BinaryRBM or GaussianRBM, or StackedClassifier for the model"
                )
            if place > 1 and not layer.takes_unit_interval:
                raise ValueError(
                    f"layers: layer {place} is {type(layer).__name__}, whose inputs are real numbers, and codes are "
                    "states of 0 or 1: take BinaryRBM above the first"
                )
        return stack

    def sample(self, n: int, label: int | None = None) -> Tensor:
        """Draw images: a Markov chain in the highest machine, then one pass downwards.

        Args:
            n: how many.
            label: none, the model has not seen any.

        Returns:
            (n, C, H, W) in [0, 1], means given the states of the lowest hidden layer.

        Raises:
            ValueError: if a label is given.
        """
        if label is not None:
            raise ValueError(f"label is {label}: {type(self).__name__} generates without classes, leave it out")
        noise = FreshNoise(torch.arange(n, device=self.device))
        top = self._stack[-1]
        assert isinstance(top, RBM)
        x = top.encode(top.gibbs(noise.uniform(top.encoder.in_features).round(), self.gibbs_steps, noise))
        for layer in reversed(self._stack):
            x = layer.decode(bernoulli(x, noise))
        return x.float().clamp(0, 1).view(-1, *self.image_shape)

    def on_test_start(self) -> None:
        """Find the mean training image, at which annealed importance sampling begins."""
        data = getattr(self.trainer, "datamodule", None)
        if self.ais_chains and isinstance(data, TrainingImages):
            sums, counts = zip(*((image.sum(0), len(image)) for image in data.training_images()), strict=True)
            self._data_mean = (torch.stack(sums).sum(0) / sum(counts)).flatten().to(self.device)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Log also the first machine's mean free energy."""
        outputs = super().test_step(batch, batch_idx)
        self.log_means({"test/layer1/free_energy": self._first.free_energy(batch.image.flatten(1)).mean()}, batch)
        return outputs

    def on_test_epoch_end(self) -> None:
        """Log the first machine's log partition function with its standard error, and the mean log-likelihood."""
        if self.ais_chains:
            estimate = annealed_importance(
                self._first, self.ais_chains, self.ais_temperatures, data_mean=self._data_mean
            )
            free_energy = self._means["test_layer1_free_energy"].compute()  # type: ignore[operator]
            self.log("test/layer1/log_z", estimate.log_z)
            self.log("test/layer1/log_z_error", estimate.standard_error)
            self.log("test/layer1/log_likelihood", -free_energy - estimate.log_z)

    @property
    def _first(self) -> RBM:
        first = self._stack[0]
        assert isinstance(first, RBM)
        return first
