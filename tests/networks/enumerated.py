"""A small RBM written out as the table of its joint distribution, from nothing but the definition of the energy."""

from itertools import product

import torch
from torch import Tensor

from networks import RBM, GaussianRBM


def random_rbm(rbm: RBM, seed: int, std: float = 1.0) -> RBM:
    """Give an RBM normal weights and biases, in float64."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in rbm.double().parameters():
        torch.nn.init.normal_(parameter, std=std, generator=generator)
    return rbm


def binary_states(units: int) -> Tensor:
    return torch.tensor(list(product((0.0, 1.0), repeat=units)), dtype=torch.float64)


class Enumerated:
    """Tables over visible states (N, in_features) and hidden states (M, units).

    One visible Gaussian unit is put on a grid of 1201 points, on which sums are integrals up to rounding.
    """

    def __init__(self, rbm: RBM) -> None:
        units, inputs = rbm.encoder.weight.shape
        w, c, b = rbm.encoder.weight.detach(), rbm.encoder.bias.detach(), rbm.visible_bias.detach()
        self.hidden = binary_states(units)
        self.cell = 1.0
        if isinstance(rbm, GaussianRBM):
            assert inputs == 1
            self.visible = torch.linspace(-15, 15, 1201, dtype=torch.float64)[:, None]
            self.cell = 30 / 1200
            own = (self.visible - b).square().sum(1) / (2 * rbm.sigma**2)
            self.own_slope = (b - self.visible) / rbm.sigma**2
        else:
            self.visible = binary_states(inputs)
            own = -(self.visible @ b)
            self.own_slope = -self.visible
        interaction = torch.einsum("ni,ji,mj->nm", self.visible, w, self.hidden)
        mass = torch.exp(-own[:, None] + self.hidden @ c + interaction)  # (N, M)
        self.free_energy = -mass.sum(1).log()
        self.log_z = (self.cell * mass.sum()).log()
        self.hidden_given_visible = mass / mass.sum(1, keepdim=True)
        self.visible_given_hidden = (mass / mass.sum(0)).T  # (M, N)
        self.visible_probability = mass.sum(1) / mass.sum()

    def after(self, start: Tensor, steps: int) -> Tensor:
        """Distributions over the visible states after Gibbs steps from distributions (B, N)."""
        for _ in range(steps):
            start = start @ self.hidden_given_visible @ self.visible_given_hidden
        return start

    def slopes(self) -> Tensor:
        """Gradient of the free energy by weight, hidden bias and visible bias, (N, parameters)."""
        mean = self.hidden_given_visible @ self.hidden
        weight = -torch.einsum("nj,ni->nji", mean, self.visible).flatten(1)
        return torch.cat([weight, -mean, self.own_slope], dim=1)
