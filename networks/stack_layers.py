"""Layers that learn without labels, one at a time, to be stacked: autoencoders of one hidden layer.

The restricted Boltzmann machines, which stack in the same way, are in `networks.rbm`.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.activations import Activation, activation_class, initialise
from networks.corruption import Corruption, MaskingCorruption
from networks.noise import Noise
from objectives import binary_cross_entropy, kl_sparsity, squared_error


class LayerStep(NamedTuple):
    """What a layer's loss may ask for besides its input.

    Attributes:
        noise: random numbers of the examples.
        number: training batches before this one, the same in all processes.
        reports: whether terms are wanted that are only reported.
        mean_over_processes: makes the mean over all processes of one over this process's examples, with its gradient.
    """

    noise: Noise
    number: int
    reports: bool
    mean_over_processes: Callable[[Tensor], Tensor]


class StackLayer(nn.Module):
    """A layer of units with an unsupervised loss of its own.

    Its encoder is what a classifier takes over: a linear map and an activation.

    Args:
        in_features: width of the input; supplied by the stack.
        units: width of the code.
        activation: of the code.

    Attributes:
        takes_unit_interval: whether inputs have to lie in [0, 1].

    Raises:
        ValueError: if there is no unit, or no such activation.
    """

    takes_unit_interval = False

    def __init__(self, in_features: int, units: int, activation: Activation = "sigmoid") -> None:
        super().__init__()
        if units < 1:
            raise ValueError(f"units is {units}: a layer needs at least one")
        self.encoder = nn.Linear(in_features, units)
        self.activation = activation_class(activation)()
        initialise(self.encoder, activation)

    @property
    def gives_unit_interval(self) -> bool:
        """Whether codes lie in [0, 1]."""
        return isinstance(self.activation, nn.Sigmoid)

    def encode(self, x: Tensor) -> Tensor:
        """Codes of inputs, (B, in_features) -> (B, units)."""
        code: Tensor = self.activation(self.encoder(x))
        return code

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """Inputs that codes stand for, (B, units) -> (B, in_features)."""

    @abstractmethod
    def loss(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """Named terms of the loss of inputs (B, in_features), scalars; the first, `loss`, is the one to minimise."""

    @abstractmethod
    def evaluate(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """Named means over inputs (B, in_features) that say how well the layer does, scalars."""


class AutoencoderLayer(StackLayer):
    """Autoencoder of one hidden layer.

    Source: Bengio et al., "Greedy Layer-Wise Training of Deep Networks" (2007).

    Args:
        in_features: see `StackLayer`.
        units: see `StackLayer`.
        activation: see `StackLayer`.
        tied: whether the decoder's weights are those of the encoder, transposed.
        reconstruction: ``bce``, Bernoulli cross-entropy with the output as log-odds, for inputs in [0, 1], or ``mse``,
            squared error with the output as it is. Both are summed over an input.
    """

    def __init__(
        self,
        in_features: int,
        units: int,
        activation: Activation = "sigmoid",
        tied: bool = True,
        reconstruction: Literal["bce", "mse"] = "bce",
    ) -> None:
        super().__init__(in_features, units, activation)
        if reconstruction not in ("bce", "mse"):
            raise ValueError(f"reconstruction is {reconstruction!r}: choose bce or mse")
        self.takes_unit_interval = reconstruction == "bce"
        self.tied = tied
        self.decoder = None if tied else nn.Linear(units, in_features)
        self.bias = nn.Parameter(torch.zeros(in_features)) if tied else None
        if self.decoder is not None:
            initialise(self.decoder, activation)

    def decode(self, code: Tensor) -> Tensor:
        """Inputs that codes stand for, (B, units) -> (B, in_features)."""
        output = self._output(code)
        return output.sigmoid() if self.takes_unit_interval else output

    def model_input(self, x: Tensor, step: LayerStep) -> Tensor:
        """What the encoder sees of inputs, (B, in_features)."""
        return x

    def loss(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """Reconstruction error, summed over an input and averaged over the batch."""
        reconstruction = self._error(self.encode(self.model_input(x, step)), x)
        return {"loss": reconstruction, "reconstruction": reconstruction}

    def evaluate(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """The same."""
        return {"reconstruction": self._error(self.encode(self.model_input(x, step)), x)}

    def _output(self, code: Tensor) -> Tensor:
        if self.decoder is None:
            return F.linear(code, self.encoder.weight.T, self.bias)
        output: Tensor = self.decoder(code)
        return output

    def _error(self, code: Tensor, x: Tensor) -> Tensor:
        error = binary_cross_entropy if self.takes_unit_interval else squared_error
        return error(self._output(code), x).mean()


class DenoisingLayer(AutoencoderLayer):
    """Autoencoder of one hidden layer that gives back the clean input of a corrupted one.

    What is corrupted is the layer's own input, which for all layers but the first is the clean code of the layer below.

    Source: Vincent et al., "Stacked Denoising Autoencoders" (JMLR 2010), section 3.

    Args:
        in_features: see `StackLayer`.
        units: see `StackLayer`.
        activation: see `StackLayer`.
        tied: see `AutoencoderLayer`.
        reconstruction: see `AutoencoderLayer`.
        corruption: what happens to the input; a quarter of it masked if not given.
    """

    def __init__(
        self,
        in_features: int,
        units: int,
        activation: Activation = "sigmoid",
        tied: bool = True,
        reconstruction: Literal["bce", "mse"] = "bce",
        corruption: Corruption | None = None,
    ) -> None:
        super().__init__(in_features, units, activation, tied, reconstruction)
        self.corruption = corruption or MaskingCorruption()

    def model_input(self, x: Tensor, step: LayerStep) -> Tensor:
        """The corrupted inputs."""
        corrupted: Tensor = self.corruption(x, step.noise)
        return corrupted


class SparseLayer(AutoencoderLayer):
    """Autoencoder of one hidden layer of sigmoid units, which is held at a small mean activation.

    Source: Ng, "Sparse autoencoder", CS294A lecture notes (2011).

    Args:
        in_features: see `StackLayer`.
        units: see `StackLayer`.
        tied: see `AutoencoderLayer`.
        reconstruction: see `AutoencoderLayer`.
        rho: mean activation over the data that every unit is drawn to.
        sparsity_weight: weight of the summed KL(rho || rho_hat) against the error of an input.
    """

    def __init__(
        self,
        in_features: int,
        units: int,
        tied: bool = True,
        reconstruction: Literal["bce", "mse"] = "bce",
        rho: float = 0.1,
        sparsity_weight: float = 3.0,
    ) -> None:
        super().__init__(in_features, units, "sigmoid", tied, reconstruction)
        if not 0 < rho < 1:
            raise ValueError(f"rho is {rho}: a target activation lies strictly between 0 and 1")
        if sparsity_weight < 0:
            raise ValueError(f"sparsity_weight is {sparsity_weight}: it cannot be negative")
        self.rho = rho
        self.sparsity_weight = sparsity_weight
        nn.init.constant_(self.encoder.bias, math.log(rho / (1 - rho)))  # begins at the target

    def loss(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """Reconstruction error plus the sparsity penalty on the batch mean over all processes."""
        code = self.encode(x)
        reconstruction = self._error(code, x)
        rho_hat = step.mean_over_processes(code.float().mean(0))  # (B, units) -> (units,)
        sparsity = kl_sparsity(rho_hat, self.rho)
        total = reconstruction + self.sparsity_weight * sparsity
        return {"loss": total, "reconstruction": reconstruction, "sparsity": sparsity}

    def evaluate(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """Reconstruction error and mean activation; the penalty is one of a whole batch."""
        code = self.encode(x)
        return {"reconstruction": self._error(code, x), "mean_activation": code.float().mean()}
