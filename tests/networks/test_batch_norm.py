"""Batch normalisation over processes. In two real processes it is tested by whole runs."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from networks import CPUSyncBatchNorm
from networks.batch_norm import synchronise


@pytest.fixture
def _one_process(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("_one_process")
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm2d, (6, 3, 4, 5))])
def test_it_is_batch_normalisation(kind: type[nn.Module], shape: tuple[int, ...], momentum: float | None) -> None:
    torch.manual_seed(0)
    plain, ours = (kind(3, momentum=momentum).double() for _ in range(2))
    synchronise(ours)
    assert isinstance(ours, CPUSyncBatchNorm)
    for _ in range(3):
        x = torch.randn(shape, dtype=torch.float64) * 3 + 1
        one, other = (x.clone().requires_grad_() for _ in range(2))
        weight = torch.randn(shape, dtype=torch.float64)
        (plain(one) * weight).sum().backward()
        (ours(other) * weight).sum().backward()
        torch.testing.assert_close(ours(other), plain(one))
        torch.testing.assert_close(other.grad, one.grad)
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)
    torch.testing.assert_close(ours.eval()(x), plain.eval()(x))


def test_the_layers_come_back_as_they_were() -> None:
    from callbacks import SyncBatchNorm

    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = [type(layer) for layer in model]
    sync = SyncBatchNorm()
    assert [type(layer) for layer in sync.apply(model)] == [nn.Linear, CPUSyncBatchNorm]
    assert [type(layer) for layer in sync.revert(model)] == before
