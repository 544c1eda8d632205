"""A run that is told to stop saves everything, says how it goes on, and then ends like one that never stopped."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from in_two import TWO, UNDRAWN, go_in_two

from benchmarks.kill_resume import BATCHES, Run, differences, settings

ROOT = Path(__file__).parent.parent.parent
VAE = ROOT / "configs/vae/digits.yaml"


def send(at: int, moment: str = "batch", **details: object) -> list[str]:
    flags = {"at": at, "moment": moment, **details}
    return ["--trainer.callbacks+=signals.Signal", *(f"--trainer.callbacks.{key}={flags[key]}" for key in flags)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbs; its checkpoints come at the ends of its epochs only."""
    run = Run(tmp_path_factory.mktemp("alone"), (*settings(str(VAE)), UNDRAWN, "--checkpoint.every_n_batches=0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        assert run.go() == 0
    return run


@pytest.mark.parametrize(
    ("signalled", "code", "saved"),
    [
        (send(4), 143, 5),
        (send(4, name="SIGINT"), 130, 5),
        (send(4, name="SIGUSR1"), 138, 5),
        (send(BATCHES - 1), 143, BATCHES),  # the last batch of an epoch: at the validation that follows it
        (send(2 * BATCHES, "validation"), 143, 2 * BATCHES),
    ],
    ids=["SIGTERM", "SIGINT", "SIGUSR1", "last batch", "validation"],
)
def test_a_signalled_run_saves_and_continues(
    alone: Run, run: Callable[..., Run], signalled: list[str], code: int, saved: int
) -> None:
    stopped = run("stopped", VAE, *alone.words[1:])
    assert stopped.go(*signalled) == code
    assert stopped.checkpoint["state_dict"]["batch_step"] == saved
    assert (
        f"and saved; to continue: python cli.py fit --run.id run --run.dir {stopped.folder}" in stopped.log.read_text()
    )
    assert "Traceback" not in stopped.log.read_text()
    assert stopped.go() == 0
    assert differences(alone, stopped) == []


def test_gradients_that_accumulate_are_applied_first(run: Callable[..., Run]) -> None:
    words = [*settings(str(VAE), accumulate=4), UNDRAWN]
    alone, stopped = run("alone", VAE, *words[1:]), run("stopped", VAE, *words[1:])
    assert (alone.go(), stopped.go(*send(5))) == (0, 143)
    assert stopped.checkpoint["state_dict"]["batch_step"] == 8
    assert stopped.go() == 0
    assert differences(alone, stopped) == []


def test_workers_outlive_a_signal_to_everyone(alone: Run, run: Callable[..., Run]) -> None:
    words = (*alone.words[1:], "--data.init_args.num_workers=2")
    stopped = run("stopped", VAE, *words)
    assert stopped.go(*send(4, everyone=True)) == 143
    assert stopped.checkpoint["state_dict"]["batch_step"] == 5


@pytest.fixture(scope="module")
def two_alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two processes that nothing disturbs."""
    run = Run(tmp_path_factory.mktemp("two"), (*settings(str(VAE)), UNDRAWN, *TWO))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        assert go_in_two(run) == [0, 0], run.log.read_text()
    return run


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_of_two_processes_stops_both(two_alone: Run, run: Callable[..., Run], rank: int) -> None:
    stopped = run("stopped", VAE, *two_alone.words[1:])
    assert stopped.go(*send(4, rank=rank)) == 143
    assert stopped.checkpoint["state_dict"]["batch_step"] in (5, 6)
    assert stopped.log.read_text().count("to continue:") == 1
    assert go_in_two(stopped) == [0, 0], stopped.log.read_text()
    assert differences(two_alone, stopped) == []


def test_the_printed_command_continues_within_ten_seconds_of_the_signal(run: Callable[..., Run]) -> None:
    stopped = run(
        "stopped", VAE, "--trainer.max_epochs=100000", "--wandb.mode=disabled", "--trainer.log_every_n_steps=1"
    )
    process = stopped.start()
    metrics = stopped.folder / "run" / "run" / "metrics.csv"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 10):
        assert process.is_alive(), stopped.log.read_text()
        time.sleep(0.1)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    begun = time.monotonic()
    process.join()
    assert time.monotonic() - begun < 10
    assert process.exitcode == 143
    batches = int(stopped.checkpoint["state_dict"]["batch_step"])
    _, command = stopped.log.read_text().split("to continue: python ")
    again = [sys.executable, *shlex.split(command.splitlines()[0]), f"--trainer.max_steps={batches + 3}"]
    subprocess.run([*again, "--trainer.max_epochs=-1"], cwd=ROOT, check=True, timeout=120)
    assert stopped.checkpoint["state_dict"]["batch_step"] == batches + 3


SLURM = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "espalier", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}
SLURM |= {
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "1",
    "SLURM_NODELIST": "localhost",
}


def test_the_job_script_requeues_a_job_that_ran_out_of_time_and_goes_on(tmp_path: Path) -> None:
    """Runs the script of the documentation under a stand-in for the cluster, once stopped and once to its end."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, line in {
        "srun": 'exec "$@"',
        "scontrol": f'echo "$@" >> {tmp_path}/scontrol',
        "python": f'exec {sys.executable} "$@"',
    }.items():
        (commands / name).write_text(f"#!/bin/sh\n{line}\n")
        (commands / name).chmod(0o755)
    flags = [*settings(str(VAE))[1:], UNDRAWN, f"--run.dir={tmp_path / 'runs'}"]
    environment = os.environ | SLURM | {"PATH": f"{commands}:{os.environ['PATH']}"}
    codes = []
    for more in (send(4), []):
        script = ["bash", "docs/slurm.sh", f"--config={VAE}", *flags, *more]
        codes.append(subprocess.run(script, cwd=ROOT, env=environment, check=False, timeout=120).returncode)
        if more:
            assert (tmp_path / "scontrol").read_text() == "requeue 17\n"
    assert codes == [0, 0]
    assert (tmp_path / "scontrol").read_text() == "requeue 17\n"  # once, not at the end of the run
    (folder,) = (tmp_path / "runs" / "vae-digits").iterdir()
    assert folder.name == "slurm-17"
    assert len(list((folder / "checkpoints").glob("hpc_ckpt*"))) == 0
