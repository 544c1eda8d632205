"""Metrics of sets of examples over two real processes, whose shares are unequal."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import Metric

from metrics import Diversity, FrechetDistance, KernelDistance, ModeCoverage, PrecisionRecall

generator = torch.Generator().manual_seed(0)
real = torch.randn(90, 3, generator=generator)
generated = 0.6 * torch.randn(70, 3, generator=generator) + 0.5


def scores(real: torch.Tensor, generated: torch.Tensor) -> dict[str, float]:
    metrics: dict[str, Metric] = {
        "frechet": FrechetDistance(3),
        "polynomial": KernelDistance("polynomial"),
        "energy": KernelDistance("energy"),
        "precision_recall": PrecisionRecall(),
        "diversity": Diversity(3),
    }
    for metric in metrics.values():
        for is_real, features in ((True, real), (False, generated)):
            for batch in features.split(32) if len(features) else ():
                metric.update(batch, real=is_real)
    metrics["coverage"] = ModeCoverage(torch.eye(3), 0.5)
    metrics["coverage"].update(generated)
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        value = metric.compute()
        parts = value._asdict() if isinstance(value, tuple) else {"": value}
        found |= {f"{name}.{part}": number.item() for part, number in parts.items()}
    return found


def process(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    mine = (real[:0], generated[:64]) if rank == 0 else (real, generated[64:])  # one has nothing real
    torch.save(scores(*mine), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_score_like_one(tmp_path: Path) -> None:
    mp.spawn(process, (tmp_path,), nprocs=2)
    expected = scores(real, generated)
    assert len(expected) == 9
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(expected, rel=1e-9)
