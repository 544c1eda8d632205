import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal
from torchmetrics.functional.image import peak_signal_noise_ratio

from objectives import binary_cross_entropy, gaussian_nll, psnr, squared_error


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 2, 3, 4, generator=generator), torch.rand(5, 2, 3, 4, generator=generator)


def test_squared_error_sums_over_the_image_and_not_over_the_batch() -> None:
    error = squared_error(torch.full((2, 3, 4, 5), 2.0), torch.zeros(2, 3, 4, 5))
    assert torch.equal(error, torch.full((2,), 4.0 * 60))


def test_squared_error_is_that_of_torch(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    expected = F.mse_loss(*pair, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(squared_error(*pair), expected)


def test_cross_entropy_is_that_of_torch(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    expected = F.binary_cross_entropy_with_logits(*pair, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(binary_cross_entropy(*pair), expected)


def test_cross_entropy_has_the_derivatives_of_its_values(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    inputs = [part.double().requires_grad_() for part in pair]
    assert torch.autograd.gradcheck(binary_cross_entropy, inputs)


@pytest.mark.parametrize("bit", [0.0, 0.3, 1.0])
def test_cross_entropy_and_its_gradient_hold_at_extreme_logits(bit: float) -> None:
    values = torch.tensor([-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4]).view(-1, 1, 1, 1)
    logits, reference = values.clone().requires_grad_(), values.clone().requires_grad_()
    loss = binary_cross_entropy(logits, torch.full_like(values, bit))
    loss.sum().backward()
    expected = F.binary_cross_entropy_with_logits(reference, torch.full_like(values, bit), reduction="none")
    expected.sum().backward()
    torch.testing.assert_close(loss, expected.view(-1))
    torch.testing.assert_close(logits.grad, reference.grad)
    torch.testing.assert_close(logits.grad, values.sigmoid() - bit)


@pytest.mark.parametrize("logvar", [torch.tensor(-3.0), torch.linspace(-2, 2, 24).view(1, 2, 3, 4)])
def test_gaussian_nll_is_that_of_torch_distributions(
    pair: tuple[torch.Tensor, torch.Tensor], logvar: torch.Tensor
) -> None:
    mean, image = pair
    expected = -Normal(mean, torch.exp(0.5 * logvar)).log_prob(image).sum((1, 2, 3))
    torch.testing.assert_close(gaussian_nll(mean, image, logvar), expected)


def test_gaussian_nll_is_least_at_the_variance_of_the_error(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    mean, image = pair
    logvar = (image - mean).square().mean().log().requires_grad_()
    gaussian_nll(mean, image, logvar).sum().backward()
    assert logvar.grad is not None
    assert logvar.grad.item() == pytest.approx(0, abs=1e-4)


def test_psnr_is_that_of_torchmetrics(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    expected = [peak_signal_noise_ratio(one, other, data_range=1.0) for one, other in zip(*pair, strict=True)]
    torch.testing.assert_close(psnr(*pair), torch.stack(expected))


def test_psnr_of_a_perfect_copy_is_100_db(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert torch.equal(psnr(pair[1], pair[1]), torch.full((5,), 100.0))
