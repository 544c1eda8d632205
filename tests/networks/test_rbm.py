import copy
import io
from functools import cache
from typing import Any

import pytest
import torch
from enumerated import Enumerated, random_rbm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor

from metrics import exact_log_partition
from networks import RBM, BinaryRBM, FreshNoise, GaussianRBM, LayerStep, SeededNoise

DRAWS = 20_000


def step(batch: int, number: int = 0, reports: bool = False) -> LayerStep:
    return LayerStep(FreshNoise(torch.arange(batch)), number, reports, lambda mean: mean)


def small(kind: str, seed: int, cd_steps: int = 1, chains: int = 0) -> RBM:
    rbm: RBM = BinaryRBM(4, 3, cd_steps, chains) if kind == "binary" else GaussianRBM(1, 3, cd_steps, chains, sigma=0.7)
    return random_rbm(rbm, seed)


def slow(kind: str, seed: int, cd_steps: int) -> RBM:
    """An RBM whose chains stay long near a state, or near its complement."""
    rbm = random_rbm(small(kind, seed, cd_steps), seed, std=3.0 if kind == "binary" else 2.0)
    with torch.no_grad():
        rbm.encoder.bias.copy_(-rbm.encoder.weight.sum(1) / 2)
        balance = -rbm.encoder.weight.sum(0) / 2
        rbm.visible_bias.copy_(balance if kind == "binary" else 0.5 + 0.7**2 * balance)
    return rbm


def gradient(rbm: RBM, x: Tensor, number: int = 0) -> Tensor:
    rbm.zero_grad()
    rbm.loss(x, step(len(x), number))["loss"].backward()
    parameters = rbm.encoder.weight, rbm.encoder.bias, rbm.visible_bias
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


kinds = pytest.mark.parametrize("kind", ["binary", "gaussian"])


@kinds
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), std=st.floats(0.1, 2))
def test_free_energy_and_conditionals_are_those_of_the_enumerated_joint(kind: str, seed: int, std: float) -> None:
    rbm = random_rbm(small(kind, 0), seed, std)
    exact = Enumerated(rbm)
    torch.testing.assert_close(rbm.free_energy(exact.visible), exact.free_energy)
    torch.testing.assert_close(rbm.encode(exact.visible), exact.hidden_given_visible @ exact.hidden)
    torch.testing.assert_close(rbm.decode(exact.hidden), exact.visible_given_hidden @ exact.visible)


@kinds
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_contrastive_divergence(kind: str, seed: int) -> None:
    exact = Enumerated(slow(kind, seed, 1))
    data = torch.tensor([1, 2, 4] if kind == "binary" else [640, 650, 660])  # where the chains start, on one side
    starts = torch.eye(len(exact.visible), dtype=torch.float64)[data]
    slopes = exact.slopes()
    x = exact.visible[data].repeat_interleave(DRAWS // len(data), dim=0)

    def expected(after: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the gradient over the draws, and its standard error."""
        mean = after @ slopes
        variance = after @ slopes.square() - mean.square()
        return slopes[data].mean(0) - mean.mean(0), (variance.mean(0) / len(x)).sqrt()

    by_steps = {steps: expected(exact.after(starts, steps)) for steps in (1, 2, 5)}
    by_steps[120] = expected(exact.visible_probability.expand(len(data), -1))  # by then it is the likelihood's
    torch.manual_seed(seed)
    for steps, (mean, error) in by_steps.items():
        found = gradient(slow(kind, seed, steps), x)
        assert ((found - mean) / error).abs().max() < 4.5, steps
        if steps > 1:  # one step would be noticed
            assert ((found - by_steps[1][0]) / error).abs().max() > 8, steps


@kinds
def test_long_chains_have_the_distribution_of_the_model(kind: str) -> None:
    torch.manual_seed(0)
    rbm = small(kind, 3)
    exact = Enumerated(rbm)
    v = rbm.gibbs(torch.zeros(DRAWS, exact.visible.shape[1]).double(), 200, FreshNoise(torch.arange(DRAWS)))
    assert_drawn_from(exact, v)


def assert_drawn_from(exact: Enumerated, v: Tensor) -> None:
    """Compare the distribution functions, with the states in the order of the table."""
    cumulative = exact.visible_probability.cumsum(0)
    if exact.cell == 1:
        place = torch.cdist(v, exact.visible, p=1).argmin(1)
        assert torch.equal(exact.visible[place], v)
        share = torch.stack([(place <= i).double().mean() for i in range(len(cumulative))])
    else:  # a grid point stands for half a cell to either side
        share = torch.stack([(v[:, 0] <= x + exact.cell / 2).double().mean() for x in exact.visible[:, 0]])
    looked_at = (cumulative > 0.001) & (cumulative < 0.999)
    deviation = (cumulative * (1 - cumulative) / len(v)).sqrt()
    assert ((share - cumulative) / deviation)[looked_at].abs().max() < 4.5


@kinds
def test_persistent_chains_come_to_the_distribution_of_the_model(kind: str) -> None:
    torch.manual_seed(0)
    rbm = small(kind, 3, chains=DRAWS)
    exact = Enumerated(rbm)
    x = exact.visible[:7]
    with torch.no_grad():
        for number in range(200):
            rbm.loss(x, step(len(x), number))
    assert rbm.chains is not None
    assert_drawn_from(exact, rbm.chains)
    # and the gradient becomes that of the likelihood
    slopes, p = exact.slopes(), exact.visible_probability
    mean = p @ slopes
    deviation = ((p @ slopes.square() - mean.square()) / DRAWS).sqrt()
    found = gradient(rbm, x, 200)
    assert ((found - (slopes[:7].mean(0) - mean)) / deviation).abs().max() < 4.5


@kinds
def test_persistent_chains_do_not_depend_on_the_batch_or_the_global_generator(kind: str) -> None:
    one = small(kind, 1, cd_steps=2, chains=9)
    other = copy.deepcopy(one)
    inputs = one.encoder.in_features
    seen = []
    for number in range(4):
        before = one.chains.clone()  # type: ignore[union-attr]
        one.loss(torch.rand(5, inputs).double(), step(5, number))
        torch.manual_seed(number)
        state = torch.get_rng_state()
        other.loss(torch.rand(3, inputs, generator=torch.Generator()).double(), step(3, number))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(one.chains, other.chains)  # type: ignore[arg-type]
        assert not torch.equal(one.chains, before)  # type: ignore[arg-type]
        seen.append(before)
    assert not torch.equal(seen[1], seen[2])


def test_chains_stand_still_in_evaluation() -> None:
    rbm = small("binary", 0, chains=50)
    assert rbm.chains is not None
    before = rbm.chains.clone()
    x = torch.rand(6, 4).double()
    rbm.evaluate(x, step(6))
    assert torch.equal(rbm.chains, before)
    rbm.eval()
    rbm.loss(x, step(6))
    assert torch.equal(rbm.chains, before)
    rbm.train()
    rbm.loss(x, step(6))
    assert not torch.equal(rbm.chains, before)


@kinds
def test_chains_continue_from_a_checkpoint_bit_for_bit(kind: str) -> None:
    torch.manual_seed(0)
    one, other, unlike = (small(kind, seed, chains=20) for seed in (0, 1, 1))
    x = torch.rand(6, one.encoder.in_features).double()
    for number in range(3):
        one.loss(x, step(6, number))
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert all(isinstance(value, Tensor) for value in state.values())
    other.load_state_dict(state)
    unlike.load_state_dict({**state, "_extra_state": unlike.get_extra_state()})
    for number in range(3, 6):
        for rbm in (one, other, unlike):
            rbm.loss(x, step(6, number))
        assert torch.equal(one.chains, other.chains)  # type: ignore[arg-type]
        assert not torch.equal(one.chains, unlike.chains)  # type: ignore[arg-type]


@kinds
@pytest.mark.parametrize("chains", [0, 8])
def test_energies_and_chains_are_in_full_precision_under_autocast(kind: str, chains: int) -> None:
    rbm = small(kind, 5, cd_steps=3, chains=chains).float()
    x = torch.rand(16, rbm.encoder.in_features)
    outcomes = []
    for enabled in (False, True):
        same = copy.deepcopy(rbm)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            torch.manual_seed(0)
            terms = same.loss(x, step(16, reports=True))
            outcomes.append((same.free_energy(x), terms["loss"], same.gibbs(x, 3, SeededNoise(16, 1))))
            assert (same.encode(x).dtype == torch.bfloat16) == enabled  # or there is nothing to see
        assert {value.dtype for value in (*outcomes[-1], *terms.values())} == {torch.float32}
        terms["loss"].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in same.parameters())
    for plain, under_autocast in zip(*outcomes, strict=True):
        assert torch.equal(plain, under_autocast)


@cache
def digits() -> Tensor:
    images = torch.tensor(load_digits().data, dtype=torch.float32) / 16
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]


def trained(rbm: RBM, x: Tensor, steps: int, learning_rate: float) -> tuple[float, float]:
    """Exact mean log-likelihoods of x before and after steps of SGD, whose rate falls to zero.

    At a constant one persistent chains are never done: the likelihood goes up and down by two nats.
    """

    def log_likelihood() -> float:
        return float(-rbm.free_energy(x).detach().double().mean() - exact_log_partition(rbm))

    before = log_likelihood()
    optimizer = torch.optim.SGD(rbm.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for number in range(steps):
        optimizer.zero_grad()
        batch = x[torch.randint(len(x), (64,))]
        rbm.loss(batch, step(64, number))["loss"].backward()
        optimizer.step()
        scheduler.step()
    return before, log_likelihood()


@pytest.mark.parametrize("options", [{}, {"cd_steps": 5}, {"chains": 100}])
def test_training_raises_the_likelihood_of_digits(options: dict[str, int]) -> None:
    torch.manual_seed(0)
    x = (digits() > 0.5).float()
    p = x.double().mean(0)
    independent = float(-sum(torch.special.entr(q) + torch.special.entr(1 - q) for q in p))
    before, after = trained(BinaryRBM(64, 14, **options), x, 1000, 0.3)
    assert before == pytest.approx(-64 * 0.693, abs=0.5)
    assert after > independent + 4  # it has learnt more than the mean of each pixel


def test_training_a_gaussian_one_raises_the_likelihood_of_digits() -> None:
    torch.manual_seed(0)
    x = (digits() - digits().mean(0)) / 0.3
    before, after = trained(GaussianRBM(64, 14, sigma=0.7), x, 400, 0.06)
    assert after > before + 10  # it begins as the best normal distribution of that sigma


@kinds
def test_terms(kind: str) -> None:
    torch.manual_seed(0)
    rbm = small(kind, 0)
    x = torch.rand(6, rbm.encoder.in_features).double()
    assert list(rbm.loss(x, step(6))) == ["loss"]
    assert list(rbm.loss(x, step(6, reports=True))) == ["loss", "reconstruction"]
    terms = rbm.evaluate(x, step(6))
    p = rbm.decode(rbm.encode(x))
    error = -(x * p.log() + (1 - x) * (1 - p).log()) if kind == "binary" else (x - p) ** 2
    torch.testing.assert_close(terms["reconstruction"], error.sum(1).mean())
    torch.testing.assert_close(terms["free_energy"], rbm.free_energy(x).mean())
    assert not terms["reconstruction"].requires_grad  # it is only reported


def test_a_new_machine_is_near_independence() -> None:
    torch.manual_seed(0)
    rbm = BinaryRBM(100, 200)
    assert rbm.encoder.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not rbm.encoder.bias.any()
    assert not rbm.visible_bias.any()
    assert rbm.gives_unit_interval
    assert rbm.takes_unit_interval
    assert not GaussianRBM(3, 2).takes_unit_interval


def test_mean_fields_lead_to_their_fields() -> None:
    mean = torch.tensor([0.2, 0.5, 0.97]).double()
    for rbm in (random_rbm(BinaryRBM(3, 2), 0), random_rbm(GaussianRBM(3, 2, sigma=0.4), 0)):
        torch.testing.assert_close(rbm.visible_mean(rbm.field_of_mean(mean)), mean)
    assert random_rbm(BinaryRBM(2, 2), 0).field_of_mean(torch.tensor([0.0, 1.0])).isfinite().all()


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: BinaryRBM(4, 0), "units is 0: "),
        (lambda: BinaryRBM(4, 3, cd_steps=0), "cd_steps is 0: "),
        (lambda: GaussianRBM(4, 3, chains=-1), "chains is -1: "),
        (lambda: GaussianRBM(4, 3, sigma=0), "sigma is 0: "),
        (lambda: GaussianRBM(4, 3, sigma=float("nan")), "sigma is nan: "),
    ],
)
def test_impossible_arguments_are_one_clear_line(make: Any, start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        make()
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)
