"""Two processes that work together, forked off a server that has imported the packages, which takes seconds."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp


def in_two_processes(work: Callable[[int, Path], None], folder: Path) -> None:
    """Have two processes of one group do their work, each with its rank; an error there is one here."""
    multiprocessing.set_forkserver_preload(["cli"])
    mp.start_processes(_do, (work, folder), nprocs=2, start_method="forkserver")


def _do(rank: int, work: Callable[[int, Path], None], folder: Path) -> None:
    multiprocessing.set_start_method(None, force=True)  # a server's children would start their own the same way
    os.environ["LOCAL_RANK"] = str(rank)  # Lightning starts no processes of its own
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    work(rank, folder)
    dist.destroy_process_group()
