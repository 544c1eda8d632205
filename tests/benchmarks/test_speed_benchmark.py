from operator import sub, truediv
from pathlib import Path

import pytest
import torch
from undrawn import undrawn

import cli
from benchmarks import hand_loop, loading, text_hand_loop, throughput
from benchmarks.throughput import Row
from lit_models import WarmupCosine


def test_a_row_compares_pair_by_pair() -> None:
    row = Row("training", [9000.0, 5000.0, 6000.0], [10000.0, 10000.0, 10000.0], truediv, "at least 0.93")
    assert str(row) == (
        "| training | 6,000 (5,000 to 9,000) | 10,000 (10,000 to 10,000) | 0.6 (0.5 to 0.9) | at least 0.93 |"
    )
    assert str(Row("memory", [1100.0], [900.0], sub, "little")).split(" | ")[3] == "200 (200 to 200)"


def test_a_row_without_a_yardstick() -> None:
    assert str(Row("start, s", [7.25, 6.5, 9.0], [], truediv, "< 10")) == "| start, s | 7.25 (6.5 to 9) |  |  | < 10 |"


@undrawn()
def test_both_trainings_print_the_time_of_each_epoch(
    mnist_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = throughput.fit("vae/mnist", str(tmp_path), 2)
    cli.main([*words, f"--data.init_args.root={mnist_root}", "--trainer.enable_progress_bar=false"])
    hand_loop.main([f"--root={mnist_root}", "--epochs=2"])
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("first ")]) == 1
    timed = [line.split() for line in lines if line.startswith("timed ")]
    assert [int(samples) for _, samples, _ in timed] == [270, 270, 270, 270]
    assert all(0 < float(seconds) < 60 for *_, seconds in timed)


@undrawn()
def test_both_trainings_on_text_are_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = throughput.fit("language_model/python_docs", str(tmp_path), 2)
    cli.main([*words, "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=0"])
    text_hand_loop.main(["--epochs=2", "--batches=3"])
    timed = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("timed ")]
    assert [int(samples) for _, samples, _ in timed] == [48, 48, 48, 48]


def test_a_failed_process_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="failed"):
        throughput.measure("-c", "print('timed 1 1\\ntimed 1 1'); raise SystemExit(3)")


def test_what_is_timed_first_is_left_out() -> None:
    assert throughput.measure("-c", "print('timed 10 100\\ntimed 10 1\\nnoise\\ntimed 20 2')").rate == 10


@pytest.mark.parametrize(("way", "images"), [("module", 270), ("sample", 300)])
def test_both_data_paths_are_timed(way: str, images: int, mnist_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loading.main([f"--root={mnist_root}", f"--by={way}"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(word, int(count)) for word, count, _ in lines] == 2 * [("timed", images)]


def test_the_schedule_by_hand_is_that_of_the_configuration() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=hand_loop.RATE)
    scheduler = WarmupCosine(optimizer, warmup=hand_loop.WARMUP)
    scheduler.start(1000)
    for step in range(1, 1000):
        optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr()[0] == pytest.approx(hand_loop.RATE * hand_loop.schedule((step + 1) / 1000))
