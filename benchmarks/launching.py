"""Runs of the command line in processes of their own, from a process that has already imported everything."""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def launch(words: Sequence[str], log: Path) -> BaseProcess:
    """Start `python cli.py <words>`, from the repository's root.

    The process is forked off a server that has imported the packages, and so starts in a tenth of a second. It
    leads a process group, to which its workers belong, and has its own environment.

    Args:
        words: the command line behind `cli.py`.
        log: file that its output is appended to.

    Returns:
        The running process; its `exitcode` is negative where a signal ended it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cli"])
    process = context.Process(target=_run, args=(list(words), str(log), dict(os.environ)))
    process.start()
    return process


def _run(words: list[str], log: str, environment: dict[str, str]) -> None:
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    multiprocessing.set_start_method(None, force=True)  # a server's children would start their own the same way
    sys.argv = ["cli.py", *words]  # with this and without a spec, Lightning launches further processes as a user would
    import __main__
    import cli

    __main__.__spec__ = None

    cli.main(words)
