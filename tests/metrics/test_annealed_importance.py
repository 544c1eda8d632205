import math
from itertools import product
from typing import Any

import pytest
import torch

from metrics import annealed_importance, exact_log_partition
from networks import RBM, BinaryRBM, GaussianRBM, SeededNoise


def random_rbm(rbm: RBM, seed: int, std: float) -> RBM:
    generator = torch.Generator().manual_seed(seed)
    for parameter in rbm.parameters():
        torch.nn.init.normal_(parameter, std=std, generator=generator)
    return rbm


def binary(seed: int, std: float = 0.8) -> RBM:
    return random_rbm(BinaryRBM(12, 10), seed, std)


def gaussian(seed: int, std: float = 0.5) -> RBM:
    return random_rbm(GaussianRBM(12, 10, sigma=0.8), seed, std)


machines = pytest.mark.parametrize("make", [binary, gaussian])


@pytest.mark.parametrize(("inputs", "units"), [(5, 3), (3, 5), (4, 4), (1, 1)])
def test_exact_is_the_sum_over_the_joint(inputs: int, units: int) -> None:
    rbm = random_rbm(BinaryRBM(inputs, units), 0, 1.5)
    w, c, b = (p.detach().double() for p in (rbm.encoder.weight, rbm.encoder.bias, rbm.visible_bias))
    z = 0.0
    for v in product((0.0, 1.0), repeat=inputs):
        for h in product((0.0, 1.0), repeat=units):
            vt, ht = torch.tensor(v).double(), torch.tensor(h).double()
            z += math.exp(float(vt @ b + ht @ c + ht @ w @ vt))
    assert exact_log_partition(rbm).item() == pytest.approx(math.log(z), abs=1e-9)
    assert exact_log_partition(rbm).dtype == torch.float64


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("inputs", [1, 2])
def test_exact_is_the_integral_of_the_density(inputs: int, sigma: float) -> None:
    rbm = random_rbm(GaussianRBM(inputs, 3, sigma=sigma), 1, 0.7)
    line = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    v = torch.cartesian_prod(*[line] * inputs).view(-1, inputs)
    w, c, b = (p.detach().double() for p in (rbm.encoder.weight, rbm.encoder.bias, rbm.visible_bias))
    density = torch.zeros(len(v), dtype=torch.float64)
    for h in product((0.0, 1.0), repeat=3):
        ht = torch.tensor(h).double()
        density += torch.exp(-(v - b).square().sum(1) / (2 * sigma**2) + ht @ c + v @ (ht @ w))
    integral = float(density.sum()) * float(line[1] - line[0]) ** inputs
    assert exact_log_partition(rbm).item() == pytest.approx(math.log(integral), abs=1e-6)


def test_many_states_are_summed_in_chunks() -> None:
    rbm = random_rbm(BinaryRBM(16, 17), 0, 0.8).double()
    v = torch.tensor(list(product((0.0, 1.0), repeat=16)), dtype=torch.float64)
    assert exact_log_partition(rbm).item() == pytest.approx((-rbm.free_energy(v)).logsumexp(0).item(), abs=1e-9)


def test_exact_looks_at_the_smaller_side_and_refuses_a_large_one() -> None:
    exact_log_partition(BinaryRBM(8, 100))
    exact_log_partition(BinaryRBM(100, 8))
    exact_log_partition(GaussianRBM(100, 8))
    for rbm in (BinaryRBM(22, 21), BinaryRBM(21, 22), GaussianRBM(3, 21)):
        with pytest.raises(ValueError, match=r"^21 units have 2\^21 states: enumerate at most 20") as error:
            exact_log_partition(rbm)
        assert "\n" not in str(error.value)


@machines
def test_the_estimate_is_near_and_its_standard_error_honest(make: Any) -> None:
    scores = []
    for seed in range(6):
        estimate = annealed_importance(make(seed), chains=100, temperatures=1000, seed=seed)
        error = float(estimate.log_z - exact_log_partition(make(seed)))
        assert abs(error) < 0.1
        assert 0 < estimate.standard_error < 0.05
        scores.append(error / float(estimate.standard_error))
    assert max(map(abs, scores)) < 4
    assert max(map(abs, scores)) > 0.5  # nor is it far too wide


@machines
def test_the_standard_error_is_the_spread_of_estimates_and_shrinks_with_chains(make: Any) -> None:
    few, many = ([annealed_importance(make(0), n, 100, seed) for seed in range(40)] for n in (25, 400))
    for estimates in (few, many):
        spread = torch.stack([e.log_z for e in estimates]).std().item()
        claimed = torch.stack([e.standard_error for e in estimates]).square().mean().sqrt().item()
        assert claimed == pytest.approx(spread, rel=0.4)
    ratio = sum(e.standard_error for e in few) / sum(e.standard_error for e in many)
    assert 3 < ratio < 5  # 4, the root of sixteen times as many chains


@machines
@pytest.mark.parametrize("mean", [None, 0.3])
def test_few_temperatures_cost_sharpness_but_make_no_bias(make: Any, mean: float | None) -> None:
    """Each state has to be drawn at the very temperature that its weight is of."""
    rbm = make(0, std=0.3)
    data_mean = None if mean is None else torch.full((12,), mean)
    estimate = annealed_importance(rbm, chains=200_000, temperatures=3, data_mean=data_mean)
    assert estimate.standard_error < 0.01
    assert abs(estimate.log_z - exact_log_partition(rbm)) < 4 * estimate.standard_error


@machines
def test_more_temperatures_make_it_sharper(make: Any) -> None:
    coarse, fine = (annealed_importance(make(1), 200, steps).standard_error for steps in (10, 1000))
    assert fine < coarse / 4


@machines
def test_it_is_exact_without_weights(make: Any) -> None:
    rbm = make(0)
    torch.nn.init.zeros_(rbm.encoder.weight)
    estimate = annealed_importance(rbm, chains=5, temperatures=3)
    assert estimate.log_z.item() == pytest.approx(exact_log_partition(rbm).item(), abs=1e-5)
    assert estimate.standard_error.item() == pytest.approx(0, abs=1e-6)


@machines
def test_another_start_has_the_same_limit_and_a_good_one_is_sharper(make: Any) -> None:
    rbm = make(2)
    v = rbm.gibbs(torch.zeros(2000, 12), 200, SeededNoise(2000, 0))  # data of the machine's own
    exact = exact_log_partition(rbm)
    good = annealed_importance(rbm, 200, 300, data_mean=v.mean(0))
    plain = annealed_importance(rbm, 200, 300)
    far = annealed_importance(rbm, 200, 300, data_mean=1 - v.mean(0))
    for estimate in (good, plain, far):
        assert abs(estimate.log_z - exact) < 4 * estimate.standard_error
    assert good.standard_error < far.standard_error
    assert good.standard_error < plain.standard_error


def test_it_follows_from_its_seed_and_leaves_everything_else_alone() -> None:
    rbm = random_rbm(BinaryRBM(6, 5, chains=3), 0, 1.0)
    before = {name: value.clone() for name, value in rbm.state_dict().items()}
    state = torch.get_rng_state()
    first, again, other = (annealed_importance(rbm, 10, 20, seed) for seed in (1, 1, 2))
    exact_log_partition(rbm)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again
    assert first.log_z != other.log_z
    assert all(torch.equal(value, before[name]) for name, value in rbm.state_dict().items())
    assert first.log_z.dtype == first.standard_error.dtype == torch.float64
    assert not first.log_z.requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        assert annealed_importance(rbm, 10, 20, 1) == first


@pytest.mark.parametrize(
    ("options", "start"), [({"chains": 1}, "chains is 1: "), ({"temperatures": 0}, "temperatures is 0: ")]
)
def test_impossible_arguments_are_one_clear_line(options: dict[str, int], start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        annealed_importance(BinaryRBM(2, 2), **options)
    assert "\n" not in str(error.value)
