import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import SimpleProfiler
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

import cli
from callbacks import MetricsFile, Throughput

pytestmark = pytest.mark.usefixtures("no_drawing")

BATCH = 5
PAUSE = 0.02  # seconds


class Examples(Dataset[Tensor]):
    """As many zeros, each of which takes a while to load."""

    def __init__(self, batches: int, seconds: float = 0.0) -> None:
        self.size, self.seconds = batches * BATCH, seconds / BATCH

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Tensor:
        time.sleep(self.seconds)
        return torch.zeros(1)


class Stream(IterableDataset[Tensor]):
    """The same without a length, so that Lightning has to fetch ahead."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __iter__(self) -> Iterator[Tensor]:
        return (self.examples[index] for index in range(len(self.examples)))


class Sleeper(LightningModule):
    """Takes a while to train and to validate."""

    def __init__(self, training: float = 0.0, validation: float = 0.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seconds = {"training": training, "validation": validation}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        time.sleep(self.seconds["training"])
        return self.weight.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        time.sleep(self.seconds["validation"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Rows(MetricsFile):
    """Keeps what was written to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.rows: list[dict[str, float]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append({**metrics, "step": step or 0})


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[..., list[dict[str, float]]]:
    def run(model: LightningModule, data: Any, val: Any = None, **kwargs: Any) -> list[dict[str, float]]:
        rows = Rows(tmp_path)
        settings: dict[str, Any] = {
            "max_epochs": 1,
            "log_every_n_steps": 10,
            "accelerator": "cpu",
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "callbacks": [Throughput()],
            **kwargs,
        }
        trainer = Trainer(logger=rows, **settings)
        trainer.fit(model, data, val)
        return [row for row in rows.rows if "speed/samples_per_s" in row]

    return run


def loader(batches: int, seconds: float = 0.0, **kwargs: Any) -> DataLoader[Tensor]:
    return DataLoader(Examples(batches, seconds), batch_size=BATCH, **kwargs)


LOADERS: dict[str, Callable[[], DataLoader[Tensor]]] = {
    "map": lambda: loader(20, PAUSE),
    "worker": lambda: loader(20, PAUSE, num_workers=1, prefetch_factor=1),
    "stream, fetched ahead": lambda: DataLoader(Stream(Examples(20, PAUSE)), batch_size=BATCH),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_slow_data_are_waited_for(kind: str, rows_of: Callable[..., list[dict[str, float]]]) -> None:
    rows = rows_of(Sleeper(), LOADERS[kind]())
    assert [row["step"] for row in rows] == [9, 19]
    for row in rows:
        assert 0.5 < row["speed/data_wait"] <= 1
        assert 0 < row["speed/samples_per_s"] <= 1.2 * BATCH / PAUSE  # a batch fetched ahead is one in twenty


def test_a_slow_model_is_not(rows_of: Callable[..., list[dict[str, float]]]) -> None:
    for row in rows_of(Sleeper(training=PAUSE), loader(20)):
        assert 0 <= row["speed/data_wait"] < 0.4
        assert 0 < row["speed/samples_per_s"] <= BATCH / PAUSE


def test_half_the_time(rows_of: Callable[..., list[dict[str, float]]]) -> None:
    (row,) = rows_of(Sleeper(training=5 * PAUSE), loader(10, 5 * PAUSE))
    assert 0.35 < row["speed/data_wait"] < 0.65


@pytest.mark.parametrize("interval", [1.0, 0.5])
def test_validation_and_the_end_of_an_epoch_do_not_count(
    interval: float, rows_of: Callable[..., list[dict[str, float]]]
) -> None:
    class Slow(Callback):
        """Takes a while after the callback under test had its turn."""

        def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            time.sleep(0.4)

        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            time.sleep(0.4)

    kwargs: dict[str, Any] = {"max_epochs": 2, "callbacks": [Throughput(), Slow()], "val_check_interval": interval}
    rows = rows_of(Sleeper(validation=0.4), loader(6), loader(1), log_every_n_steps=12, **kwargs)
    assert [row["epoch"] for row in rows] == [1]
    assert rows[0]["speed/samples_per_s"] > 12 * BATCH / 0.4


def test_a_report_is_of_all_batches_since_the_last(rows_of: Callable[..., list[dict[str, float]]]) -> None:
    class Slowing(Sleeper):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            time.sleep(0.3 if self.trainer.fit_loop.epoch_loop.total_batch_idx < 4 else 0)
            return self.weight.sum()

    rows = rows_of(Slowing(), loader(4), max_epochs=4, log_every_n_steps=8)
    assert [row["step"] for row in rows] == [7, 15]
    assert rows[0]["speed/samples_per_s"] < 8 * BATCH / (4 * 0.3)
    assert rows[1]["speed/samples_per_s"] > 8 * BATCH / (4 * 0.3)


def test_only_these_keys_and_only_where_the_loggers_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logged = []
    log_dict = LightningModule.log_dict
    monkeypatch.setattr(
        LightningModule,
        "log_dict",
        lambda self, values, **kwargs: (logged.append(sorted(values)), log_dict(self, values, **kwargs))[1],
    )
    trainer = Trainer(
        max_epochs=2,
        log_every_n_steps=5,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Throughput()],
        logger=Rows(tmp_path),
    )
    trainer.fit(Sleeper(), loader(8))
    assert logged == 3 * [["speed/data_wait", "speed/samples_per_s"]]
    assert {"speed/data_wait", "speed/samples_per_s"} <= trainer.progress_bar_metrics.keys()


def test_accumulated_gradients(rows_of: Callable[..., list[dict[str, float]]]) -> None:
    rows = rows_of(Sleeper(training=PAUSE), loader(24), accumulate_grad_batches=4, log_every_n_steps=3)
    assert [row["step"] for row in rows] == [2, 5]
    for row in rows:
        assert 0.3 * BATCH / PAUSE < row["speed/samples_per_s"] <= BATCH / PAUSE


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(BATCH, 3),
        (torch.zeros(BATCH, 3), torch.zeros(2)),
        {"name": ["a"], "scale": torch.ones(()), "image": [torch.zeros(BATCH, 3)]},
    ],
    ids=["tensor", "tuple", "nested"],
)
def test_batches_of_any_form(batch: Any, rows_of: Callable[..., list[dict[str, float]]]) -> None:
    (row,) = rows_of(Sleeper(training=PAUSE), DataLoader([batch] * 10, batch_size=None))
    assert 0.3 * BATCH / PAUSE < row["speed/samples_per_s"] <= BATCH / PAUSE


class Sentences(NamedTuple):
    """Two sentences, and how many tokens they have together."""

    token: Tensor
    tokens: Any


def test_tokens_are_counted_where_batches_tell_them(rows_of: Callable[..., list[dict[str, float]]]) -> None:
    batches = [Sentences(torch.zeros(2, 9), tokens) for tokens in (7, 9, 11, 13)]
    (row,) = rows_of(Sleeper(training=PAUSE), DataLoader(batches, batch_size=None), log_every_n_steps=4)
    assert row["speed/tokens_per_s"] == pytest.approx(5 * row["speed/samples_per_s"], rel=1e-5)
    (row,) = rows_of(Sleeper(), DataLoader([Sentences(torch.zeros(2, 9), torch.zeros(2))] * 10, batch_size=None))
    assert "speed/tokens_per_s" not in row


def test_the_users_profiler_still_sees_the_fetches(rows_of: Callable[..., list[dict[str, float]]]) -> None:
    profiler = SimpleProfiler()
    (row,) = rows_of(Sleeper(), loader(10, PAUSE), profiler=profiler)
    fetches = profiler.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"]
    assert len(fetches) == 10
    assert sum(fetches) >= 10 * PAUSE
    assert row["speed/data_wait"] > 0.5


def test_a_second_fit_counts_once(rows_of: Callable[..., list[dict[str, float]]]) -> None:
    throughput, data = Throughput(), loader(10, PAUSE)
    for _ in range(2):
        (row,) = rows_of(Sleeper(training=PAUSE), data, callbacks=[throughput])
        assert 0.25 < row["speed/data_wait"] < 0.75


def test_a_run_entered_midway(tmp_path: Path) -> None:
    class Stop(Callback):
        """Breaks off in the second epoch, once, with a checkpoint."""

        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            if trainer.state.fn == TrainerFn.FITTING and trainer.global_step == 10:
                trainer.save_checkpoint(tmp_path / "midway.ckpt", weights_only=False)
                raise KeyboardInterrupt

    def trainer(rows: Rows, *callbacks: Callback) -> Trainer:
        return Trainer(
            max_epochs=2,
            log_every_n_steps=4,
            accelerator="cpu",
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Throughput(), *callbacks],
            logger=rows,
        )

    with pytest.raises(SystemExit):
        trainer(Rows(tmp_path), Stop()).fit(Sleeper(), loader(8))
    rows = Rows(tmp_path)
    trainer(rows).fit(Sleeper(training=PAUSE), loader(8), ckpt_path=tmp_path / "midway.ckpt", weights_only=True)
    speeds = [row["speed/samples_per_s"] for row in rows.rows if "speed/samples_per_s" in row]
    assert speeds
    assert all(0.3 * BATCH / PAUSE < speed <= BATCH / PAUSE for speed in speeds)


def test_the_command_line_logs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml"]
    cli.main(["fit", *words, f"--run.dir={tmp_path}", "--run.id=one"])
    header = (tmp_path / "vae-digits" / "one" / "metrics.csv").read_text().splitlines()[0]
    assert [name for name in header.split(",") if name.startswith("speed/")] == [
        "speed/data_wait",
        "speed/samples_per_s",
    ]
    assert " samples/s  " in capsys.readouterr().out
