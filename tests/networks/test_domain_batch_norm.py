"""Batch normalisation of two domains, and in two real processes."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from processes import in_two_processes
from torch import Tensor, nn

from networks import CPUSyncBatchNorm, DomainBatchNorm, at_domain, with_domain_statistics
from networks.batch_norm import synchronise

KINDS: list[tuple[type[nn.Module], tuple[int, ...]]] = [(nn.BatchNorm1d, (8, 3)), (nn.BatchNorm2d, (8, 3, 4, 5))]


def drawn(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Rows of which the second half lies elsewhere and is wider."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[len(x) // 2 :] = 4 * x[len(x) // 2 :] + 7
    return x


def started(norm: nn.Module) -> nn.Module:
    norm.double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
        norm.bias.copy_(torch.tensor([1.0, 0.0, 3.0]))
    return norm


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_it_is_one_batch_normalisation_for_each_half(kind: Any, shape: tuple[int, ...], momentum: float | None) -> None:
    norm = started(kind(3, momentum=momentum))
    source, target = copy.deepcopy(norm), copy.deepcopy(norm)
    ours = with_domain_statistics(norm)
    at_domain(ours, "both")
    for seed in range(3):
        x = drawn(shape, seed)
        one, other = (x.clone().requires_grad_() for _ in range(2))
        slope = torch.randn(shape, dtype=torch.float64)
        expected = torch.cat([source(one[:4]), target(one[4:])])
        (expected * slope).sum().backward()
        (ours(other) * slope).sum().backward()
        torch.testing.assert_close(ours.eval()(other), torch.cat([source.eval()(x[:4]), target.eval()(x[4:])]))
        torch.testing.assert_close(other.grad, one.grad)
        for module in (ours, source, target):
            module.train()
    torch.testing.assert_close(ours.weight.grad, source.weight.grad + target.weight.grad)
    torch.testing.assert_close(ours.bias.grad, source.bias.grad + target.bias.grad)
    ours.eval()
    for domain, plain in (("source", source.eval()), ("target", target.eval())):
        at_domain(ours, domain)
        torch.testing.assert_close(ours(x), plain(x))
    assert not torch.allclose(source(x), target(x))


def test_training_on_one_domain_leaves_the_other_alone() -> None:
    ours = with_domain_statistics(nn.BatchNorm1d(3)).double()
    at_domain(ours, "source")
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    ours(drawn((8, 3)))
    changed = {name for name, value in ours.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"source.running_mean", "source.running_var", "source.num_batches_tracked"}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3, affine=False)))


def test_every_normalisation_is_replaced_once_and_keeps_its_parameters_and_statistics() -> None:
    plain = network()
    plain(torch.randn(16, 2))
    weight, mean = plain[1].weight, plain[1].running_mean.clone()
    count = len(list(plain.parameters()))
    ours = with_domain_statistics(with_domain_statistics(plain))
    assert ours is plain
    assert [isinstance(module, DomainBatchNorm) for module in (ours[1], ours[2][1])] == [True, True]
    assert sum(isinstance(module, DomainBatchNorm) for module in ours.modules()) == 2
    assert ours[1].weight is weight
    assert len(list(ours.parameters())) == count
    torch.testing.assert_close(ours[1].source.running_mean, mean)
    torch.testing.assert_close(ours[1].target.running_mean, mean)
    assert "1.weight" in ours.state_dict()
    assert "1.source.weight" not in ours.state_dict()


def test_it_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained, fresh = (with_domain_statistics(network()) for _ in range(2))
    at_domain(trained, "both")
    for _ in range(3):
        trained(drawn((8, 2)).float())
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    x = drawn((8, 2), 9).float()
    outputs = []
    for domain in ("source", "target"):
        for module in (trained.eval(), fresh.eval()):
            at_domain(module, domain)
            outputs.append(module(x))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[2], outputs[3])
    assert not torch.allclose(outputs[0], outputs[2])


@pytest.mark.parametrize("domain", ["source", "target", "both"])
def test_narrow_inputs_give_narrow_outputs(domain: Any) -> None:
    ours = with_domain_statistics(nn.BatchNorm2d(3))
    at_domain(ours, domain)
    x = drawn((8, 3, 4, 5)).float()
    expected = ours(x)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = ours(x.bfloat16())
    assert narrow.dtype == torch.bfloat16
    assert ours.source.running_mean.dtype == torch.float32
    torch.testing.assert_close(narrow.float(), expected, atol=0.05, rtol=0.02)


def test_without_normalisation_nothing_happens() -> None:
    plain = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert with_domain_statistics(plain) is plain
    at_domain(plain, "source")
    assert [type(layer) for layer in plain] == [nn.Linear, nn.ReLU]


def test_pytorchs_conversion_and_back_keep_the_parameters_shared() -> None:
    ours = with_domain_statistics(network())
    at_domain(ours, "both")
    x = drawn((8, 2)).float()
    ours(x)
    state = copy.deepcopy(ours.state_dict())
    expected = ours.eval()(x)
    weight = ours[1].weight
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(ours)
    kinds = {type(module) for module in synchronised[1].children()}
    assert kinds == {nn.SyncBatchNorm}
    assert synchronised[1].weight is weight
    torch.testing.assert_close(synchronised.state_dict(), state)
    torch.testing.assert_close(synchronised.eval()(x), expected)
    from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm

    back = TorchSyncBatchNorm().revert(synchronised)
    torch.testing.assert_close(back.state_dict(), state)
    torch.testing.assert_close(back.eval()(x), expected)


def process(rank: int, folder: Path) -> None:
    torch.manual_seed(0)
    model = with_domain_statistics(network()).double()
    at_domain(model, "both")
    synchronise(model)
    assert type(model[1].source) is CPUSyncBatchNorm
    source, target = drawn((16, 2)).chunk(2)
    mine = torch.cat([source.chunk(2)[rank], target.chunk(2)[rank]])
    output = model(mine)
    ((output**3).mean() / 2).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    for gradient in gradients:
        dist.all_reduce(gradient)
    torch.save((output, gradients, model.state_dict()), folder / f"{rank}.pt")


def test_two_processes_normalise_like_one_with_the_whole_batch(tmp_path: Path) -> None:
    in_two_processes(process, tmp_path)
    torch.manual_seed(0)
    model = with_domain_statistics(network()).double()
    at_domain(model, "both")
    output = model(drawn((16, 2)))
    (output**3).mean().backward()
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    gathered = torch.cat([share[0].chunk(2)[half] for half in range(2) for share in shares])
    torch.testing.assert_close(gathered, output)
    for _, gradients, state in shares:
        torch.testing.assert_close(gradients, [parameter.grad for parameter in model.parameters()])
        torch.testing.assert_close(state, model.state_dict())
