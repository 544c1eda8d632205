"""Restricted Boltzmann machines: layers that learn the distribution of their inputs.

Sources: Hinton, "Training Products of Experts by Minimizing Contrastive Divergence" (2002), and "A Practical Guide to
Training Restricted Boltzmann Machines" (2012); Tieleman, "Training Restricted Boltzmann Machines using Approximations
to the Likelihood Gradient" (2008), for the persistent chains.
"""

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.noise import Noise, SeededNoise
from networks.stack_layers import LayerStep, StackLayer
from objectives import binary_cross_entropy, squared_error
from objectives.precision import full_precision


class RBM(StackLayer):
    """Restricted Boltzmann machine with binary hidden units, p(v, h) = exp(-E(v, h)) / Z.

    E(v, h) = e(v) - c.h - h.Wv, where W and c are the weight and the bias of `encoder` and e(v) is the energy of the
    visible units alone, which a subclass chooses. Given the hidden units, the visible ones follow exp(-e(v) + f.v) with
    the field f = h W.

    It is trained by contrastive divergence, or, with persistent chains, by stochastic maximum likelihood (PCD).

    Args:
        in_features: width of the input; supplied by the stack.
        units: number of hidden units.
        cd_steps: Gibbs steps from the data, or of the persistent chains, per batch.
        chains: number of persistent chains, whatever the number of processes, which start at random zeros and ones; 0
            starts the steps at the data.

    Raises:
        ValueError: if there is no unit or no step, or a negative number of chains.
    """

    chains: Tensor | None

    def __init__(self, in_features: int, units: int, cd_steps: int = 1, chains: int = 0) -> None:
        super().__init__(in_features, units, "sigmoid")
        if cd_steps < 1:
            raise ValueError(f"cd_steps is {cd_steps}: the chains need at least one step")
        if chains < 0:
            raise ValueError(f"chains is {chains}: give a number of persistent chains, or 0 to start at the data")
        self.cd_steps = cd_steps
        self.visible_bias = nn.Parameter(torch.zeros(in_features))
        nn.init.normal_(self.encoder.weight, std=0.01)
        nn.init.zeros_(self.encoder.bias)
        # an int, which no step has to fetch from the device; every process draws the same
        self._seed = int(torch.randint(2**31, ()))
        self.register_buffer("chains", torch.rand(chains, in_features).round() if chains else None)

    @abstractmethod
    def visible_energy(self, v: Tensor) -> Tensor:
        """e(v), (B, in_features) -> (B,)."""

    @abstractmethod
    def visible_mean(self, field: Tensor) -> Tensor:
        """Mean of the visible units in fields, (B, in_features) -> (B, in_features)."""

    @abstractmethod
    def sample_visible(self, field: Tensor, noise: Noise) -> Tensor:
        """Visible units drawn in fields, (B, in_features) -> (B, in_features)."""

    @abstractmethod
    def log_visible_partition(self, field: Tensor) -> Tensor:
        """Log of the sum or integral of exp(-e(v) + f.v) over v, (B, in_features) -> (B,)."""

    @abstractmethod
    def field_of_mean(self, mean: Tensor) -> Tensor:
        """The field in which the visible units have a mean; (in_features,) -> (in_features,)."""

    @abstractmethod
    def reconstruction_error(self, x: Tensor) -> Tensor:
        """Error of inputs (B, in_features) after one mean-field step up and down, summed over an input, (B,)."""

    def decode(self, code: Tensor) -> Tensor:
        """Mean of the inputs given hidden units, (B, units) -> (B, in_features)."""
        return self.visible_mean(self.field(code))

    def field(self, hidden: Tensor) -> Tensor:
        """Field of hidden units, h W, (B, units) -> (B, in_features)."""
        return F.linear(hidden, self.encoder.weight.T)

    @full_precision
    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)) = e(v) - sum_j softplus(c_j + (Wv)_j), in nats.

        Args:
            v: (B, in_features).

        Returns:
            (B,), so that log p(v) = -F(v) - log Z.
        """
        return self.visible_energy(v) - F.softplus(self.encoder(v)).sum(1)

    @full_precision
    @torch.no_grad()
    def gibbs(self, v: Tensor, steps: int, noise: Noise) -> Tensor:
        """Draw all hidden units, then all visible ones, `steps` times over.

        In full precision: a chain at rounded weights would be one of another machine than learns from it.

        Args:
            v: (B, in_features), where the chains are.
            steps: number of steps.
            noise: of B examples.

        Returns:
            (B, in_features), where they come to.
        """
        for _ in range(steps):
            v = self.sample_visible(self.field(bernoulli(self.encode(v), noise)), noise)
        return v

    def loss(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """Free energy of the data minus that of the chains.

        Its gradient is that of contrastive divergence. Its value is no objective: both terms move with the weights, and
        it may rise while the likelihood does.
        """
        model = self._advance(step.number) if self.chains is not None else self.gibbs(x, self.cd_steps, step.noise)
        terms = {"loss": self.free_energy(x).mean() - self.free_energy(model).mean()}
        if step.reports:
            terms["reconstruction"] = self._reconstruction(x)
        return terms

    def evaluate(self, x: Tensor, step: LayerStep) -> dict[str, Tensor]:
        """Error of a mean-field reconstruction, and free energy."""
        return {"reconstruction": self._reconstruction(x), "free_energy": self.free_energy(x).mean()}

    def get_extra_state(self) -> Tensor:
        """The seed of the persistent chains."""
        return torch.tensor(self._seed)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the seed over."""
        self._seed = int(state)

    def _advance(self, number: int) -> Tensor:
        """Where the persistent chains come to in one batch, with numbers that are the same in all processes."""
        assert self.chains is not None
        noise = SeededNoise(len(self.chains), self._seed + number, self.chains.device)
        chains = self.gibbs(self.chains, self.cd_steps, noise)
        if self.training:
            self.chains.copy_(chains)
        return chains

    @torch.no_grad()
    def _reconstruction(self, x: Tensor) -> Tensor:
        return self.reconstruction_error(x).mean()


class BinaryRBM(RBM):
    """Restricted Boltzmann machine of binary visible units, e(v) = -b.v.

    Inputs in [0, 1] that are not binary are taken for probabilities.
    """

    takes_unit_interval = True

    def visible_energy(self, v: Tensor) -> Tensor:
        """-b.v."""
        return -(v @ self.visible_bias)

    def visible_mean(self, field: Tensor) -> Tensor:
        """Probabilities sigmoid(b + f)."""
        return (self.visible_bias + field).sigmoid()

    def sample_visible(self, field: Tensor, noise: Noise) -> Tensor:
        """Zeros and ones."""
        return bernoulli(self.visible_mean(field), noise)

    def log_visible_partition(self, field: Tensor) -> Tensor:
        """Sum over the visible units of softplus(b + f)."""
        return F.softplus(self.visible_bias + field).sum(-1)

    def field_of_mean(self, mean: Tensor) -> Tensor:
        """Log-odds less the bias; means are held at 0.01 from 0 and 1, where the field would be infinite."""
        return mean.logit(0.01) - self.visible_bias

    def reconstruction_error(self, x: Tensor) -> Tensor:
        """Cross-entropy, in nats."""
        return binary_cross_entropy(self.visible_bias + self.field(self.encode(x)), x)


class GaussianRBM(RBM):
    """Restricted Boltzmann machine of Gaussian visible units, e(v) = |v - b|^2 / (2 sigma^2).

    The encoder takes v as it is, so that a classifier can take it over: its weight is W / sigma in the convention whose
    energy has h.W(v / sigma), and v given h is normal with mean b + sigma^2 h W and standard deviation sigma.

    Args:
        in_features: see `RBM`.
        units: see `RBM`.
        cd_steps: see `RBM`.
        chains: see `RBM`.
        sigma: standard deviation of a visible unit given the hidden ones; it is not learned.
    """

    def __init__(self, in_features: int, units: int, cd_steps: int = 1, chains: int = 0, sigma: float = 1.0) -> None:
        super().__init__(in_features, units, cd_steps, chains)
        if not sigma > 0:
            raise ValueError(f"sigma is {sigma}: a standard deviation is positive")
        self.sigma = sigma

    def visible_energy(self, v: Tensor) -> Tensor:
        """|v - b|^2 / (2 sigma^2)."""
        return (v - self.visible_bias).square().sum(1) / (2 * self.sigma**2)

    def visible_mean(self, field: Tensor) -> Tensor:
        """Means b + sigma^2 f."""
        return self.visible_bias + self.sigma**2 * field

    def sample_visible(self, field: Tensor, noise: Noise) -> Tensor:
        """Normal numbers."""
        return self.visible_mean(field) + self.sigma * noise.normal(field.shape[1]).to(field.dtype)

    def log_visible_partition(self, field: Tensor) -> Tensor:
        """Sum over the visible units of log sqrt(2 pi sigma^2) + b f + sigma^2 f^2 / 2."""
        normaliser = 0.5 * math.log(2 * math.pi * self.sigma**2)
        return (normaliser + self.visible_bias * field + 0.5 * (self.sigma * field).square()).sum(-1)

    def field_of_mean(self, mean: Tensor) -> Tensor:
        """(mean - b) / sigma^2."""
        return (mean - self.visible_bias) / self.sigma**2

    def reconstruction_error(self, x: Tensor) -> Tensor:
        """Squared error."""
        return squared_error(self.decode(self.encode(x)), x)


def bernoulli(probability: Tensor, noise: Noise) -> Tensor:
    """Zeros and ones, (B, N) -> (B, N)."""
    return (noise.uniform(probability.shape[1]) < probability).to(probability.dtype)
