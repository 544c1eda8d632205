"""Two processes train like one that has the whole batch, however they are launched."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from in_two import TWO, UNDRAWN, free_port, go_in_two, in_two
from offline import small

from benchmarks.kill_resume import Run
from benchmarks.launching import launch

ROOT = Path(__file__).parent.parent.parent
TEN_STEPS = (
    "--trainer.max_steps=10",
    "--trainer.precision=64-true",
    "--trainer.limit_val_batches=0",
    "--trainer.sync_batchnorm=true",
    UNDRAWN,
    "--trainer.callbacks+=comparable.Comparable",
    "--wandb.mode=disabled",
)


def largest_difference(one: Run, other: Run, steps: int = 10) -> float:
    first, second = (run.checkpoint["state_dict"] for run in (one, other))
    assert first["batch_step"] == second["batch_step"] == steps
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def test_two_processes_equal_one(config: Path, run: Callable[..., Run]) -> None:
    words = (*TEN_STEPS, *small(config))
    one = run("one", config, *words, "--trainer.devices=1", "--data.init_args.batch_size=64")
    two = run("two", config, *words, *TWO, "--data.init_args.batch_size=32")
    assert (one.go(), *go_in_two(two)) == (0, 0, 0), two.log.read_text()
    assert largest_difference(one, two) < 1e-6


@pytest.mark.parametrize("technique", ["stacked", "dbn"])
def test_two_processes_equal_one_in_every_phase_of_pretraining(run: Callable[..., Run], technique: str) -> None:
    words = [word for word in TEN_STEPS if "max_steps" not in word]
    words += ["--trainer.max_epochs=4", "--trainer.limit_train_batches=3", "--pretraining.limit_epochs=1"]
    words += ["--trainer.limit_val_batches=0"]  # pictures are drawn of what was validated, in float32
    layers = [{"class_path": "SparseLayer", "init_args": {"units": 30}}] * 2
    if technique == "dbn":
        layers = [{"class_path": "BinaryRBM", "init_args": {"units": 30, "chains": chains}} for chains in (0, 10)]
    words += [f"--model.init_args.layers={json.dumps(layers)}", "--model.init_args.dropout=0"]
    config = ROOT / f"configs/{technique}/digits.yaml"
    one = run("one", config, *words, "--trainer.devices=1", "--data.init_args.batch_size=64")
    halves = (*TWO, "--data.init_args.batch_size=32")
    two = run("two", config, *words, *halves)
    assert (one.go(), *go_in_two(two)) == (0, 0, 0)
    assert one.checkpoint["callbacks"]["GreedyPretraining"]["phase"] == "fine_tuning"
    assert largest_difference(one, two, steps=12) < 1e-6


@pytest.mark.parametrize("technique", ["sparse_autoencoder", "vae"])
def test_two_processes_train_one_run_and_score_like_one_process(run: Callable[..., Run], technique: str) -> None:
    debug = ("--config=configs/overlay/debug.yaml", UNDRAWN)
    trained = run("trained", ROOT / f"configs/{technique}/digits.yaml", *debug, *TWO)
    codes = [trained.go()] if technique == "vae" else go_in_two(trained)
    assert not any(codes), trained.log.read_text()
    folder = trained.folder / "run" / "run"
    assert trained.log.read_text().count(f"run {folder}") == 1
    assert json.loads((folder / "provenance.json").read_text())[0]["processes"] == 2
    # 359 test images: uneven batches, and an uneven split
    words = ["test", f"--run.dir={trained.folder}", "--run.id=run", "--data.init_args.eval_batch_size=50"]
    words += ["--trainer.limit_test_batches=1.0"]
    process = launch([*words, "--trainer.devices=1", "--trainer.strategy=auto"], trained.log)
    process.join()
    assert process.exitcode == 0, trained.log.read_text()
    alone = json.loads((folder / "test.json").read_text())
    (folder / "test.json").unlink()
    assert in_two(lambda: launch([*words, *TWO], trained.log)) == [0, 0], trained.log.read_text()
    assert json.loads((folder / "test.json").read_text()) == pytest.approx(alone, rel=1e-5)


def test_two_processes_equal_one_under_batch_normalisation(run: Callable[..., Run]) -> None:
    words = (*TEN_STEPS, "--model.init_args.encoder=normalised.NormalisedEncoder")
    config = ROOT / "configs/autoencoder/digits.yaml"
    one = run("one", config, *words, "--trainer.devices=1", "--data.init_args.batch_size=64")
    halves = (*TWO, "--data.init_args.batch_size=32")
    two, apart = run("two", config, *words, *halves), run("apart", config, *words, *halves)
    assert (one.go(), *go_in_two(two), *go_in_two(apart, "--trainer.sync_batchnorm=false")) == (0, 0, 0, 0, 0)
    assert one.checkpoint["state_dict"]["encoder.3.num_batches_tracked"] == 10
    assert largest_difference(one, two) < 1e-6
    assert largest_difference(one, apart) > 1e-4


def test_the_comparison_would_see_half_a_batch_left_out(run: Callable[..., Run]) -> None:
    config = ROOT / "configs/vae/digits.yaml"
    one = run("one", config, *TEN_STEPS, "--trainer.devices=1", "--data.init_args.batch_size=64")
    half = run("half", config, *TEN_STEPS, "--trainer.devices=1", "--data.init_args.batch_size=32")
    assert (one.go(), half.go()) == (0, 0)
    assert largest_difference(one, half) > 1e-4


def test_two_nodes_of_torchrun_equal_one_process(run: Callable[..., Run]) -> None:
    config = ROOT / "configs/sparse_autoencoder/digits.yaml"
    one = run("one", config, *TEN_STEPS, "--trainer.devices=1", "--data.init_args.batch_size=64")
    assert one.go() == 0
    nodes = ("--trainer.num_nodes=2", "--trainer.devices=1", "--trainer.strategy=ddp", "--data.init_args.batch_size=32")
    two = run("two", config, *TEN_STEPS, *nodes)
    port = free_port()
    launched = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node_rank={rank}"),
                *("--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={port}"),
                *("cli.py", "fit", *two.words, f"--run.dir={two.folder}", "--run.experiment=run", "--run.id=run"),
            ],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    output = [process.communicate(timeout=300)[0] for process in launched]
    assert [process.returncode for process in launched] == [0, 0], "\n".join(output)
    assert largest_difference(one, two) < 1e-6


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_diverges_says_so_once(run: Callable[..., Run], processes: int) -> None:
    words = ("--model.init_args.optimizer.init_args.lr=1e30", f"--trainer.devices={processes}", "--wandb.mode=disabled")
    strategy = ("--trainer.strategy=ddp",) if processes == 2 else ()
    diverging = run("diverging", ROOT / "configs/autoencoder/digits.yaml", *words, *strategy)
    assert diverging.go() == 2
    said = diverging.log.read_text()
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "lower the learning rate" in line
    assert "Traceback" not in said
    batch = torch.load(diverging.folder / "run" / "run" / "diverged.pt", weights_only=True)
    assert batch["image"].shape == (64, 1, 8, 8)
