"""The games that a generator and a discriminator play, and the penalties that steady them.

Scores are the discriminator's raw outputs, (B,). Every loss is a mean over the batch, in float32 with autocast off.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from objectives.precision import full_precision

AdversarialLoss = Literal["minimax", "non_saturating", "least_squares", "hinge", "wasserstein"]


class Game(NamedTuple):
    """The losses of the two players, each minimised by its own.

    Attributes:
        discriminator: from scores of real and of generated examples.
        generator: from scores of generated examples.
        probabilistic: whether the sigmoid of a score is a probability of being real.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    probabilistic: bool


@full_precision
def cross_entropy_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))), D being the sigmoid of the score (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


@full_precision
def minimax_generator(fake: Tensor) -> Tensor:
    """E log(1 - D(G(z))): what the discriminator maximises, the original game (Goodfellow et al. 2014, eq. 1)."""
    return -F.softplus(fake).mean()


@full_precision
def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E log D(G(z)): has a gradient where the discriminator is sure (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


@full_precision
def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E (D(x) - 1)^2 / 2 + E D(G(z))^2 / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


@full_precision
def least_squares_generator(fake: Tensor) -> Tensor:
    """E (D(G(z)) - 1)^2 / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * (fake - 1).square().mean()


@full_precision
def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


@full_precision
def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x): minus the Wasserstein distance, if D is 1-Lipschitz (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


@full_precision
def critic_generator(fake: Tensor) -> Tensor:
    """-E D(G(z)), the generator's loss of the hinge and the Wasserstein game."""
    return -fake.mean()


GAMES: dict[AdversarialLoss, Game] = {
    "minimax": Game(cross_entropy_discriminator, minimax_generator, probabilistic=True),
    "non_saturating": Game(cross_entropy_discriminator, non_saturating_generator, probabilistic=True),
    "least_squares": Game(least_squares_discriminator, least_squares_generator, probabilistic=False),
    "hinge": Game(hinge_discriminator, critic_generator, probabilistic=False),
    "wasserstein": Game(wasserstein_discriminator, critic_generator, probabilistic=False),
}

Critic = Callable[[Tensor], Tensor]


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """E (|grad D(y)| - 1)^2 at points y between real and generated examples.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs" (2017), eq. 3.

    Args:
        critic: scores examples, (B, *) -> (B,).
        real: (B, *).
        fake: (B, *).
        share: (B,), of the real example in each point, uniform in [0, 1].

    Returns:
        A scalar, differentiable in the parameters of the critic.
    """
    share = share.view(-1, *[1] * (real.ndim - 1))
    between = share * real.detach() + (1 - share) * fake.detach()
    norm: Tensor = _gradient(critic, between).norm(dim=1)
    return (norm - 1).square().mean()


def r1_penalty(critic: Critic, real: Tensor) -> Tensor:
    """E |grad D(x)|^2 / 2 at the real examples.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?" (2018), eq. 9.

    Args:
        critic: scores examples, (B, *) -> (B,).
        real: (B, *).

    Returns:
        A scalar, differentiable in the parameters of the critic.
    """
    return 0.5 * _gradient(critic, real).square().sum(1).mean()


def _gradient(critic: Critic, x: Tensor) -> Tensor:
    """Gradient of each score by its own example, flattened to (B, N)."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.flatten(1)
