"""A layer that lets the forward pass through and turns the gradient around."""

from typing import Any

import torch
from torch import Tensor, nn


class GradientReversal(nn.Module):
    """`reverse_gradient` as a layer, to stand between features and the discriminator of their domain.

    Source: Ganin et al., "Domain-Adversarial Training of Neural Networks" (2016), eqs. 17 and 18.

    Args:
        weight: lambda of the paper, what the gradient is multiplied with besides the sign.

    Attributes:
        weight: may be replaced between steps, by a number or a scalar tensor.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight: float | Tensor = weight

    def forward(self, x: Tensor) -> Tensor:
        """Pass x on, of any shape."""
        return reverse_gradient(x, self.weight)


def reverse_gradient(x: Tensor, weight: float | Tensor = 1.0) -> Tensor:
    """Pass x on as it is, and the gradient of what follows back times -weight.

    What follows is trained with its own, unchanged gradient. A weight of 0 cuts off what comes before.

    Source: Ganin et al., "Domain-Adversarial Training of Neural Networks" (2016), eqs. 17 and 18.

    Args:
        x: of any shape.
        weight: lambda of the paper; a scalar tensor may be on any device and is not waited for.
    """
    reversed_: Tensor = _Reversal.apply(x, weight)
    return reversed_


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: float | Tensor) -> Tensor:
        context.weight = weight.detach() if isinstance(weight, Tensor) else weight
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.weight * gradients[0], None
