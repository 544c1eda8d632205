import pytest
import torch
from torch import Tensor, nn

from networks import GradientReversal, reverse_gradient


@pytest.mark.parametrize("weight", [1.0, 0.25, 0.0, 3.0])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_the_gradient_is_turned_around_and_weighed(weight: float, as_tensor: bool) -> None:
    x = torch.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
    slope = torch.tensor([2.0, 5.0], requires_grad=True)
    y = reverse_gradient(x, torch.tensor(weight) if as_tensor else weight)
    assert torch.equal(y, x)
    (y @ slope).sum().backward()
    # d/dx of sum_i 2 x_i1 + 5 x_i2 is (2, 5) in each row; d/dslope is the column sums, whatever the weight
    assert x.grad is not None
    assert slope.grad is not None
    assert x.grad.tolist() == [[-2 * weight, -5 * weight]] * 2
    assert slope.grad.tolist() == [4.0, -1.5]


def test_only_the_branch_behind_it_is_turned_around() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    (x**2 + 10 * reverse_gradient(x, 0.5)).backward()
    assert x.grad == 2 * 3 - 0.5 * 10


def test_twice_is_the_gradient_itself_times_both_weights() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    (7 * reverse_gradient(reverse_gradient(x, 2.0), 0.5)).backward()
    assert x.grad == 7


def test_the_same_features_can_be_reversed_by_two_weights() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    (3 * reverse_gradient(x, 1.0) + 5 * reverse_gradient(x, 2.0)).backward()
    assert x.grad == -13


def test_the_input_keeps_its_own_gradient_graph() -> None:
    x = torch.ones(3)  # needs no gradient: nothing to reverse
    y = reverse_gradient(x)
    assert not y.requires_grad
    assert torch.equal(y, x)


def test_second_derivatives_are_turned_around_too() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    (first,) = torch.autograd.grad(reverse_gradient(x, 0.5) ** 3, x, create_graph=True)
    assert first == -0.5 * 3 * 2**2
    (second,) = torch.autograd.grad(first, x)  # of -0.5 * 3 y^2 at y = x, through the reversal again
    assert second == (-0.5) ** 2 * 6 * 2


def test_the_layer_takes_its_weight_from_its_attribute() -> None:
    layer = GradientReversal(2.0)
    x = torch.tensor([1.0], requires_grad=True)
    for weight in (2.0, 0.5, torch.tensor(4.0)):
        layer.weight = weight
        (gradient,) = torch.autograd.grad(layer(x), x)
        assert gradient == -float(weight)
    assert not layer.state_dict()


def test_narrow_features_under_autocast_get_a_narrow_gradient() -> None:
    features, head = nn.Linear(4, 3), nn.Linear(3, 1)
    x = torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = features(x)
        hidden.retain_grad()
        head(reverse_gradient(hidden, torch.tensor(0.5))).sum().backward()
        (plain,) = torch.autograd.grad(head(hidden.detach().requires_grad_()).sum(), head.weight)
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.bfloat16
    torch.testing.assert_close(hidden.grad.float(), -0.5 * head.weight.expand(5, 3).bfloat16().float())
    torch.testing.assert_close(head.weight.grad, plain)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features, self.reversal, self.head = nn.Linear(4, 3), GradientReversal(0.5), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.head(self.reversal(self.features(x)))
        return score


def test_it_can_be_exported() -> None:
    network, x = Network().eval(), torch.randn(2, 4)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), network(x))


def test_it_can_be_compiled_without_a_break() -> None:
    network, x = Network(), torch.randn(2, 4)
    network(x).sum().backward()
    expected = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    torch.compile(network, fullgraph=True, backend="aot_eager")(x).sum().backward()
    assert len(expected) == 4
    torch.testing.assert_close([parameter.grad for parameter in network.parameters()], expected)
