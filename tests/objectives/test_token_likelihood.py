import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from objectives import token_losses

IGNORED = 0


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target() -> Tensor:
    tokens = torch.randint(1, 7, (3, 5), generator=torch.Generator().manual_seed(1))
    tokens[0, 3:] = IGNORED
    tokens[2] = IGNORED
    return tokens


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_both_losses_are_those_of_pytorch(logits: Tensor, target: Tensor, smoothing: float) -> None:
    losses = token_losses(logits, target, IGNORED, smoothing)
    rows = logits.flatten(0, 1), target.flatten()
    for found, share in ((losses.smoothed, smoothing), (losses.nll, 0.0)):
        expected = F.cross_entropy(*rows, ignore_index=IGNORED, reduction="none", label_smoothing=share)
        torch.testing.assert_close(found.flatten(), expected)


def test_the_smoothed_loss_by_hand() -> None:
    logits = torch.tensor([[[0.0, 1.0, 2.0]]], dtype=torch.float64)
    log_p = logits.log_softmax(-1).flatten()
    smoothed, nll = token_losses(logits, torch.tensor([[1]]), IGNORED, 0.3)
    assert nll.item() == pytest.approx(-log_p[1].item())
    assert smoothed.item() == pytest.approx(-(0.1 * log_p[0] + 0.8 * log_p[1] + 0.1 * log_p[2]).item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_places_where_nothing_is_asked_have_no_loss_and_no_gradient(
    logits: Tensor, target: Tensor, smoothing: float
) -> None:
    logits.requires_grad_()
    losses = token_losses(logits, target, IGNORED, smoothing)
    (losses.smoothed + losses.nll).sum().backward()
    assert logits.grad is not None
    unasked = target == IGNORED
    assert losses.smoothed[unasked].eq(0).all()
    assert losses.nll[unasked].eq(0).all()
    assert logits.grad[unasked].eq(0).all()
    assert logits.grad[~unasked].abs().sum(-1).gt(0).all()


def test_bfloat16_logits_are_summed_in_float32(logits: Tensor, target: Tensor) -> None:
    narrow = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = token_losses(narrow, target, IGNORED, 0.1)
    expected = token_losses(narrow.float(), target, IGNORED, 0.1)
    assert found.smoothed.dtype == torch.float32
    assert torch.equal(found.smoothed, expected.smoothed)
