"""Runs of two processes, each of them forked: Lightning would have one import everything anew, which takes seconds."""

import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess

import pytest

from benchmarks.kill_resume import Run

TWO = ("--trainer.devices=2", "--trainer.strategy=ddp")
UNDRAWN = "--trainer.callbacks+=undrawn.Undrawn"


def go_in_two(run: Run, *more: str) -> list[int | None]:
    """Exit codes of both processes of a run."""
    return in_two(lambda: run.start(*more))


def in_two(start: Callable[[], BaseProcess]) -> list[int | None]:
    """Exit codes of the two processes that are started so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASTER_PORT", str(free_port()))
        processes = []
        for rank in range(2):
            patch.setenv("LOCAL_RANK", str(rank))
            processes.append(start())
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
