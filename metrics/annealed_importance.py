"""The partition function of a restricted Boltzmann machine, estimated or exact."""

import copy
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.noise import SeededNoise
from networks.rbm import RBM, BinaryRBM, bernoulli

LIMIT = 20  # units that are enumerated
CHUNK = 2**14  # states at a time


class LogPartition(NamedTuple):
    """log Z in nats, and the standard error of its estimate; float64 scalars."""

    log_z: Tensor
    standard_error: Tensor


@torch.no_grad()
def annealed_importance(
    rbm: RBM, chains: int = 100, temperatures: int = 10_000, seed: int = 0, data_mean: Tensor | None = None
) -> LogPartition:
    """Estimate log Z by annealed importance sampling, from the machine without weights to the machine itself.

    The machine at inverse temperature beta in [0, 1] has the energy e(v) - (1 - beta) a.v - beta h.(Wv + c). At
    beta = 0 its log Z is known in closed form; the field a makes it a base-rate model of the data there.

    The estimate of Z has no bias, so that of log Z is too low on average, and chains that all miss a mode make both it
    and its standard error too low.

    Source: Salakhutdinov and Murray, "On the Quantitative Analysis of Deep Belief Networks" (2008).

    Args:
        rbm: the machine.
        chains: number of independent runs, which are averaged.
        temperatures: steps from beta = 0 to beta = 1, evenly spaced.
        seed: of the chains; the global generator is left alone.
        data_mean: (in_features,), means of the visible units at beta = 0, best those of the training data; without it
            a is 0 and the visible biases are the machine's own.

    Raises:
        ValueError: if there are fewer than two chains, or no step.
    """
    if chains < 2:
        raise ValueError(f"chains is {chains}: a standard error needs at least two")
    if temperatures < 1:
        raise ValueError(f"temperatures is {temperatures}: it takes at least one step to the machine itself")
    weight = rbm.encoder.weight
    with torch.autocast(weight.device.type, enabled=False):
        base = torch.zeros_like(rbm.visible_bias) if data_mean is None else rbm.field_of_mean(data_mean.to(weight))
        noise = SeededNoise(chains, seed, weight.device)
        log_weight = torch.zeros(chains, dtype=torch.float64, device=weight.device)
        v = rbm.sample_visible(base.expand(chains, -1), noise)
        for number in range(temperatures):
            now, following = number / temperatures, (number + 1) / temperatures
            hidden_input = rbm.encoder(v)
            log_weight += _softplus_sum(following * hidden_input) - _softplus_sum(now * hidden_input)
            log_weight += (now - following) * (v.double() @ base.double())
            hidden = bernoulli((following * hidden_input).sigmoid(), noise)
            v = rbm.sample_visible(following * rbm.field(hidden) + (1 - following) * base, noise)
        log_base = rbm.log_visible_partition(base).double() + rbm.encoder.out_features * math.log(2)
    log_mean = log_weight.logsumexp(0) - math.log(chains)
    share = (log_weight - log_mean).exp()  # of the mean weight
    return LogPartition(log_base + log_mean, share.std() / math.sqrt(chains))


@torch.no_grad()
def exact_log_partition(rbm: RBM) -> Tensor:
    """Find log Z by enumeration of the hidden units, or of the visible ones where they are binary and fewer.

    Returns:
        In nats, a float64 scalar.

    Raises:
        ValueError: if that side has more than 20 units.
    """
    units, inputs = rbm.encoder.weight.shape
    over_visible = isinstance(rbm, BinaryRBM) and inputs < units
    side = inputs if over_visible else units
    if side > LIMIT:
        raise ValueError(f"{side} units have 2^{side} states: enumerate at most {LIMIT}, or use annealed_importance")
    exact = copy.deepcopy(rbm).double()

    def log_mass(states: Tensor) -> Tensor:
        if over_visible:
            return -exact.free_energy(states)
        return states @ exact.encoder.bias + exact.log_visible_partition(exact.field(states))

    sums = [log_mass(states).logsumexp(0) for states in _states(side, exact.encoder.weight)]
    return torch.stack(sums).logsumexp(0)


def _states(units: int, like: Tensor) -> Iterator[Tensor]:
    """All states of binary units, in chunks (N, units)."""
    place = torch.arange(units, device=like.device)
    for numbers in torch.split(torch.arange(2**units, device=like.device), CHUNK):
        yield (numbers[:, None] >> place & 1).to(like)


def _softplus_sum(x: Tensor) -> Tensor:
    return F.softplus(x.double()).sum(1)
