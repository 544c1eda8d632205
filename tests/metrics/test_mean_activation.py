import pytest
import torch

from metrics import MeanActivation

code = torch.rand(500, 6, generator=torch.Generator().manual_seed(0)) * torch.linspace(0, 1, 6)


@pytest.mark.parametrize("sizes", [[500], [1, 499], [300, 7, 193]])
def test_it_is_the_mean_over_all_examples_whatever_the_batches(sizes: list[int]) -> None:
    metric = MeanActivation(6)
    for batch in code.split(sizes):
        metric.update(batch)
    torch.testing.assert_close(metric.compute(), code.mean(0))


def test_two_processes_give_the_mean_of_one() -> None:
    first, second = MeanActivation(6), MeanActivation(6)
    first.update(code[:50])
    second.update(code[50:])
    first.merge_state(second)
    torch.testing.assert_close(first.compute(), code.mean(0))


def test_reset_forgets() -> None:
    metric = MeanActivation(6)
    metric.update(1 - code)
    metric.reset()
    metric.update(code)
    torch.testing.assert_close(metric.compute(), code.mean(0))
