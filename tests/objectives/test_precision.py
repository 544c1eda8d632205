from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from objectives import (
    binary_cross_entropy,
    conditional_entropy,
    coral,
    difference,
    discrepancy,
    free_bits,
    gaussian_kl,
    gaussian_nll,
    importance_weighted_bound,
    kl_sparsity,
    log_normal,
    mmd,
    psnr,
    squared_error,
)
from objectives.precision import full_precision

Case = tuple[Callable[..., Tensor], tuple[Tensor | float, ...]]


def cases() -> dict[str, Case]:
    generator = torch.Generator().manual_seed(0)
    image, other = (torch.rand(3, 1, 28, 28, generator=generator) for _ in range(2))
    mu, logvar, z = (torch.randn(64, 40, generator=generator) for _ in range(3))
    return {
        "binary_cross_entropy": (binary_cross_entropy, (8 * other, image)),
        "conditional_entropy": (conditional_entropy, (4 * mu,)),
        "coral": (coral, (mu, 3 * z)),
        "difference": (difference, (mu, z + mu)),
        "discrepancy": (discrepancy, (4 * mu, 4 * z)),
        "free_bits": (free_bits, (mu.abs(), 0.1)),
        "gaussian_kl": (gaussian_kl, (mu, logvar)),
        "gaussian_nll": (gaussian_nll, (other, image, logvar[0, 0])),
        "importance_weighted_bound": (importance_weighted_bound, (100 * mu,)),
        "kl_sparsity": (kl_sparsity, (mu[0].sigmoid(), 0.05)),
        "log_normal": (log_normal, (z, mu, logvar)),
        "mmd": (mmd, (10 * mu + 50, 10 * z + 55)),
        "mmd_linear": (lambda x, y: mmd(x, y, estimator="linear"), (10 * mu + 50, 10 * z + 55)),
        "psnr": (psnr, (other, image)),
        "squared_error": (squared_error, (other, image)),
    }


def cast(values: tuple[Tensor | float, ...], dtype: torch.dtype) -> list[Tensor | float]:
    return [value.to(dtype) if isinstance(value, Tensor) else value for value in values]


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", cases())
def test_narrow_inputs_under_autocast_are_computed_in_float32(name: str, narrow: torch.dtype) -> None:
    function, values = cases()[name]
    inputs = cast(values, narrow)
    with torch.autocast("cpu", torch.bfloat16):
        value = function(*inputs)
    exact = function(*cast(tuple(inputs), torch.float64))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", cases())
def test_float64_is_kept(name: str) -> None:
    function, values = cases()[name]
    assert function(*cast(values, torch.float64)).dtype == torch.float64


def test_autocast_is_off_inside_and_back_on_outside() -> None:
    @full_precision
    def product(a: Tensor, *, b: Tensor) -> Tensor:
        return a @ b

    a = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert product(a.bfloat16(), b=a.bfloat16()).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16


def test_gradients_reach_the_narrow_input() -> None:
    mu = torch.randn(4, 3, dtype=torch.bfloat16, requires_grad=True)
    gaussian_kl(mu, torch.zeros(4, 3)).sum().backward()
    assert mu.grad is not None
    assert mu.grad.dtype == torch.bfloat16
    torch.testing.assert_close(mu.grad, mu.detach())
