import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import SGD

from lit_models import InverseDecay, WarmupCosine


def optimizer(*rates: float) -> SGD:
    return SGD([{"params": [torch.nn.Parameter(torch.zeros(()))], "lr": rate} for rate in rates])


def steps(scheduler: InverseDecay | WarmupCosine, count: int) -> list[float]:
    """Rates that the next `count` optimizer steps use."""
    used = []
    for _ in range(count):
        used.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return used


def started(total: float, rate: float = 1.0, **kwargs: Any) -> WarmupCosine:
    scheduler = WarmupCosine(optimizer(rate), **kwargs)
    scheduler.start(total)
    return scheduler


def test_values_by_hand() -> None:
    # rises over 2 of 10 steps; then half a cosine over 8
    expected = [0.5, 1.0, *(0.5 * (1 + math.cos(math.pi * part / 8)) for part in range(1, 9))]
    assert steps(started(10, warmup=0.2), 10) == pytest.approx(expected, abs=1e-12)
    assert expected[5] == pytest.approx(0.5)
    assert expected[9] == 0


def test_floor_is_a_share_of_the_optimizers_own_rate() -> None:
    rates = steps(started(100, 0.2, warmup=0.1, floor=0.25), 120)
    assert max(rates) == rates[9] == pytest.approx(0.2)
    assert rates[99] == pytest.approx(0.05)
    assert rates[100:] == pytest.approx([0.05] * 20)  # a run that goes on stays there


def test_each_group_keeps_its_own_rate() -> None:
    scheduler = WarmupCosine(optimizer(1.0, 10.0), warmup=0.5)
    scheduler.start(8)
    for _ in range(7):
        one, ten = (group["lr"] for group in scheduler.optimizer.param_groups)
        assert ten == pytest.approx(10 * one)
        scheduler.optimizer.step()
        scheduler.step()


@given(st.integers(1, 200), st.floats(0, 0.99), st.floats(0, 1))
def test_it_rises_then_falls_between_its_bounds(total: int, warmup: float, floor: float) -> None:
    assume((1 - warmup) * total >= 1)  # else there is no step left to fall in
    rates = steps(started(total, warmup=warmup, floor=floor), total)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) >= 0
    assert max(rates) <= 1
    assert abs(peak + 1 - warmup * total) <= 1
    assert rates[-1] == pytest.approx(floor, abs=1e-9)


@pytest.mark.parametrize("done", [1, 3, 12])
def test_a_resumed_run_goes_on_exactly(done: int) -> None:
    whole = steps(started(20, warmup=0.3), 20)
    first = started(20, warmup=0.3)
    steps(first, done)
    second = started(20, warmup=0.3)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert steps(second, 20 - done) == whole[done:]


def test_a_continued_run_may_be_longer() -> None:
    first = started(10)
    steps(first, 10)
    longer = started(20)
    longer.optimizer.load_state_dict(first.optimizer.state_dict())
    longer.load_state_dict(first.state_dict())
    assert steps(longer, 10)[1:] == pytest.approx(steps(started(20), 20)[11:])


@pytest.mark.parametrize(
    ("kwargs", "start"),
    [({"warmup": 1.0}, "warmup is 1.0:"), ({"warmup": -0.1}, "warmup is -0.1:"), ({"floor": -0.5}, "floor is -0.5:")],
)
def test_impossible_shares_are_one_clear_line(kwargs: dict[str, float], start: str) -> None:
    with pytest.raises(ValueError, match=start) as error:
        WarmupCosine(optimizer(1.0), **kwargs)
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)


def test_an_endless_run_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"set trainer\.max_epochs or trainer\.max_steps$"):
        started(math.inf)


def test_inverse_decay_by_hand() -> None:
    scheduler = InverseDecay(optimizer(0.01))
    scheduler.start(20)
    rates = steps(scheduler, 21)
    assert rates[0] == 0.01
    assert rates[10] == pytest.approx(0.01 / 6**0.75)  # p = 1/2
    assert rates[20] == pytest.approx(0.01 / 11**0.75)  # p = 1
    assert rates == sorted(rates, reverse=True)
    constant = InverseDecay(optimizer(0.3), alpha=0.0)
    constant.start(5)
    assert steps(constant, 5) == [0.3] * 5


def test_a_resumed_inverse_decay_goes_on_exactly() -> None:
    schedules = []
    for _ in range(3):
        schedules.append(InverseDecay(optimizer(1.0), alpha=3.0, beta=1.5))
        schedules[-1].start(20)
    whole, first, second = schedules
    expected = steps(whole, 20)
    steps(first, 7)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert steps(second, 13) == expected[7:]


@pytest.mark.parametrize("kwargs", [{"alpha": -1.0}, {"beta": -0.5}])
def test_a_rate_does_not_rise(kwargs: dict[str, float]) -> None:
    ((name, value),) = kwargs.items()
    with pytest.raises(ValueError, match=f"^{name} is {value}: choose 0"):
        InverseDecay(optimizer(1.0), **kwargs)
