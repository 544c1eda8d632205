"""The games against closed forms, the penalties against critics whose gradient is known."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from objectives import GAMES, gradient_penalty, r1_penalty

REAL = torch.tensor([2.0, -0.5, 0.3], dtype=torch.float64)
FAKE = torch.tensor([-1.0, 0.7, 3.0, 0.1], dtype=torch.float64)
D_X, D_GZ = REAL.sigmoid(), FAKE.sigmoid()
PLAYED: dict[str, tuple[Tensor, Tensor]] = {
    "minimax": (-D_X.log().mean() - (1 - D_GZ).log().mean(), (1 - D_GZ).log().mean()),
    "non_saturating": (-D_X.log().mean() - (1 - D_GZ).log().mean(), -D_GZ.log().mean()),
    "least_squares": (((REAL - 1) ** 2).mean() / 2 + (FAKE**2).mean() / 2, ((FAKE - 1) ** 2).mean() / 2),
    "hinge": ((1 - REAL).clamp(min=0).mean() + (1 + FAKE).clamp(min=0).mean(), -FAKE.mean()),
    "wasserstein": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
}


def test_every_game_is_here() -> None:
    assert GAMES.keys() == PLAYED.keys()


@pytest.mark.parametrize("name", PLAYED)
def test_losses_are_those_of_the_papers(name: str) -> None:
    game = GAMES[name]  # type: ignore[index]
    discriminator, generator = PLAYED[name]
    torch.testing.assert_close(game.discriminator(REAL, FAKE), discriminator)
    torch.testing.assert_close(game.generator(FAKE), generator)


def test_the_original_game_is_at_two_log_two_where_nothing_can_be_told_apart() -> None:
    game = GAMES["minimax"]
    undecided = torch.zeros(5)
    assert game.discriminator(undecided, undecided).item() == pytest.approx(2 * math.log(2))
    assert game.generator(undecided).item() == pytest.approx(-math.log(2))


def test_only_the_original_generator_saturates() -> None:
    gradients = {}
    for name in ("minimax", "non_saturating"):
        sure = torch.full((1,), -20.0, requires_grad=True)
        (gradients[name],) = torch.autograd.grad(GAMES[name].generator(sure), sure)  # type: ignore[index]
    assert gradients["minimax"].abs().item() < 1e-8
    assert gradients["non_saturating"].item() == pytest.approx(-1.0)


@pytest.mark.parametrize("name", GAMES)
def test_extreme_scores_have_finite_losses_in_float32(name: str) -> None:
    game = GAMES[name]  # type: ignore[index]
    extreme = torch.tensor([-300.0, 300.0]).bfloat16()
    for loss in (game.discriminator(extreme, extreme), game.generator(extreme)):
        assert loss.dtype == torch.float32
        assert loss.isfinite()


def test_the_penalty_of_a_linear_critic_is_that_of_its_weights() -> None:
    torch.manual_seed(0)
    critic = nn.Linear(6, 1).double()
    real, fake = torch.randn(2, 9, 6, dtype=torch.float64)
    norm = critic.weight.norm()
    penalty = gradient_penalty(lambda x: critic(x).squeeze(1), real, fake, torch.rand(9, dtype=torch.float64))
    torch.testing.assert_close(penalty, (norm - 1) ** 2)
    r1 = r1_penalty(lambda x: critic(x).squeeze(1), real)
    torch.testing.assert_close(r1, 0.5 * norm**2)
    (slope,) = torch.autograd.grad(penalty, critic.weight)
    torch.testing.assert_close(slope, 2 * (norm - 1) * critic.weight / norm)
    (slope,) = torch.autograd.grad(r1, critic.weight)
    torch.testing.assert_close(slope, critic.weight)


def test_the_gradient_is_taken_between_the_examples() -> None:
    real, fake, share = torch.full((3, 2), 4.0), torch.zeros(3, 2), torch.tensor([0.0, 0.25, 1.0])
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return x.square().sum(1)  # whose gradient is 2x

    penalty = gradient_penalty(critic, real, fake, share)
    torch.testing.assert_close(seen[0], share.unsqueeze(1) * real)
    norms = 2 * seen[0].norm(dim=1)
    torch.testing.assert_close(penalty, (norms - 1).square().mean())


def test_penalties_are_in_float32_under_autocast() -> None:
    critic = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1))
    x = torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = r1_penalty(lambda x: critic(x).squeeze(1), x)
    torch.testing.assert_close(penalty, r1_penalty(lambda x: critic(x).squeeze(1), x), rtol=0, atol=0)
    assert penalty.dtype == torch.float32


def test_the_losses_of_the_original_game_are_those_of_a_classifier() -> None:
    scores, labels = torch.cat([REAL, FAKE[:3]]), torch.tensor([1.0] * 3 + [0.0] * 3, dtype=torch.float64)
    expected = 2 * F.binary_cross_entropy_with_logits(scores, labels)
    torch.testing.assert_close(GAMES["minimax"].discriminator(REAL, FAKE[:3]), expected)
