import pytest
import torch

from metrics import Diversity

generator = torch.Generator().manual_seed(0)
real = torch.randn(300, 4, generator=generator) * torch.tensor([1.0, 2.0, 3.0, 0.0]) + 10
generated = torch.randn(200, 4, generator=generator)


def ratio(real: torch.Tensor, generated: torch.Tensor) -> float:
    metric = Diversity(4)
    for batch in real.split(77):
        metric.update(batch, real=True)
    for batch in generated.split(31):
        metric.update(batch, real=False)
    return metric.compute().item()


def test_it_is_the_ratio_of_the_traces_of_the_covariances() -> None:
    expected = (torch.cov(generated.T.double()).trace() / torch.cov(real.T.double()).trace()).sqrt()
    assert ratio(real, generated) == pytest.approx(expected.item(), rel=1e-9)


def test_it_is_one_for_the_same_set_and_scales_with_the_spread() -> None:
    assert ratio(real, real.flip(0) - 3) == pytest.approx(1, rel=1e-6)
    assert ratio(real, 0.25 * real) == pytest.approx(0.25, rel=1e-6)


def test_a_collapsed_model_has_none() -> None:
    assert ratio(real, real[:1].repeat(50, 1)) == pytest.approx(0, abs=1e-6)


def test_two_processes_measure_what_one_does() -> None:
    first, second = Diversity(4), Diversity(4)
    first.update(real[:10], real=True)
    second.update(real[10:], real=True)
    second.update(generated, real=False)
    first.merge_state(second)
    assert first.compute().item() == pytest.approx(ratio(real, generated), rel=1e-12)


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="300 real and 1 generated examples: it needs at least 2 of each"):
        ratio(real, generated[:1])
