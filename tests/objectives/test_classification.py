import pytest
import torch

from objectives import cross_entropy

logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
label = torch.tensor([0, 1, 2, 3, 4, 0, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_it_is_the_cross_entropy_with_the_smoothed_target(smoothing: float) -> None:
    target = (1 - smoothing) * torch.eye(5)[label] + smoothing / 5
    expected = -(target * logits.softmax(1).log()).sum(1)
    torch.testing.assert_close(cross_entropy(logits, label, smoothing), expected)


def test_a_network_that_knows_nothing_has_the_log_of_the_classes() -> None:
    torch.testing.assert_close(cross_entropy(torch.zeros(7, 5), label), torch.full((7,), 5.0).log())


def test_narrow_logits_are_widened() -> None:
    assert cross_entropy(logits.bfloat16(), label).dtype == torch.float32
    assert cross_entropy(logits.double(), label).dtype == torch.float64
