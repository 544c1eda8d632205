"""A run that was killed and resumed sees exactly the batches that an uninterrupted run sees."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from processes import in_two_processes
from seen_batches import Recorder, SaveMidway
from torch import Tensor
from torchvision.transforms.v2 import RandomCrop

from datamodules import Digits, ImageBatch

BATCHES = 7  # 1,294 training images in batches of 200


class KilledError(Exception):
    pass


class PlaceRecorder(Recorder):
    """Notes which examples come where. Has a buffer, as models do, which processes synchronise."""

    step: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.zeros(()))
        self.validated: list[int] = []

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, batch_idx, batch.index.tolist(), float(batch.image.sum())))
        return self.weight

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        self.validated += batch.index.tolist()


class ImpatientRecorder(PlaceRecorder):
    """Leaves epoch 1 after three batches."""

    def on_train_batch_start(self, batch: ImageBatch, batch_idx: int) -> int | None:
        return -1 if (self.current_epoch, batch_idx) == (1, 3) else None


class SaveAndDie(Callback):
    """Saves a checkpoint in a hook of an epoch (after a batch) and ends the run."""

    def __init__(self, path: Path, hook: str, epoch: int, batch: int | None = None) -> None:
        self.path, self.epoch, self.batch = path, epoch, batch
        setattr(self, hook, self.strike)

    def strike(self, trainer: Trainer, module: LightningModule, *details: Any) -> None:
        batch = details[-1] if details else None
        if trainer.current_epoch == self.epoch and batch == self.batch:
            trainer.save_checkpoint(self.path)
            raise KilledError


class SaveMidwayAndKeep(SaveMidway):
    """Keeps at the end what each process has seen, too."""

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, PlaceRecorder)
        torch.save((module.seen, module.validated), self.path.parent / f"{trainer.global_rank}.pt")


def digits(num_workers: int = 0) -> Digits:
    return Digits(batch_size=200, seed=5, num_workers=num_workers, augmentation=[RandomCrop(8, padding=1)])


def run(
    tmp_path: Path,
    *callbacks: Callback,
    data: Digits | None = None,
    model: PlaceRecorder | None = None,
    checkpoint: Path | None = None,
    **arguments: Any,
) -> PlaceRecorder:
    trainer = Trainer(
        default_root_dir=tmp_path,
        **{"accelerator": "cpu", "max_epochs": 4, "num_sanity_val_steps": 0} | arguments,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = model or PlaceRecorder()
    with suppress(KilledError):
        trainer.fit(model, data or digits(), ckpt_path=checkpoint)
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> PlaceRecorder:
    return run(tmp_path_factory.mktemp("whole"))


def test_uninterrupted_run_sees_whole_epochs_in_different_orders(whole: PlaceRecorder) -> None:
    assert [seen[:2] for seen in whole.seen] == [(epoch, batch) for epoch in range(4) for batch in range(BATCHES)]
    epochs = [[index for seen in whole.seen if seen[0] == epoch for index in seen[2]] for epoch in range(4)]
    assert all(sorted(epoch) == list(range(1294)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert whole.validated == 4 * list(range(144))


def test_workers_change_nothing(whole: PlaceRecorder, tmp_path: Path) -> None:
    assert run(tmp_path, data=digits(2)).seen == whole.seen


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("hook", "epoch", "batch"),
    [
        ("on_train_batch_end", 0, 0),
        ("on_train_batch_end", 1, 2),
        ("on_train_batch_end", 1, BATCHES - 1),
        ("on_validation_end", 1, None),
        ("on_train_epoch_end", 0, None),
        ("on_train_epoch_end", 2, None),
    ],
)
def test_resumed_run_continues_the_sequence(
    whole: PlaceRecorder, tmp_path: Path, hook: str, epoch: int, batch: int | None, num_workers: int
) -> None:
    checkpoint = tmp_path / "last.ckpt"
    before = run(tmp_path, SaveAndDie(checkpoint, hook, epoch, batch), data=digits(num_workers))
    assert len(before.seen) == epoch * BATCHES + (BATCHES if batch is None else batch + 1)
    after = run(tmp_path, checkpoint=checkpoint, data=digits(num_workers))
    assert before.seen + after.seen == whole.seen


@pytest.mark.parametrize(("hook", "batch"), [("on_train_batch_end", 2), ("on_validation_end", None)])
def test_resumed_run_with_max_steps(whole: PlaceRecorder, tmp_path: Path, hook: str, batch: int | None) -> None:
    limit = {"max_steps": 4 * BATCHES, "max_epochs": -1}
    checkpoint = tmp_path / "last.ckpt"
    before = run(tmp_path, SaveAndDie(checkpoint, hook, 1, batch), **limit)
    assert before.seen + run(tmp_path, checkpoint=checkpoint, **limit).seen == whole.seen


def test_resumed_run_with_limited_epochs_and_validation_midway(tmp_path: Path) -> None:
    limit = {"limit_train_batches": 4, "val_check_interval": 2}
    expected = run(tmp_path, **limit).seen
    assert len(expected) == 16
    for number, (hook, batch) in enumerate(
        [("on_validation_end", None), ("on_train_epoch_end", None), ("on_train_batch_end", 2)]
    ):
        checkpoint = tmp_path / f"{number}.ckpt"
        before = run(tmp_path, SaveAndDie(checkpoint, hook, 1, batch), **limit)
        assert before.seen + run(tmp_path, checkpoint=checkpoint, **limit).seen == expected


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resumed_after_an_epoch_that_was_left_early(tmp_path: Path, num_workers: int) -> None:
    expected = run(tmp_path, model=ImpatientRecorder()).seen
    assert [seen[0] for seen in expected].count(1) == 3
    checkpoint = tmp_path / "last.ckpt"
    kill = SaveAndDie(checkpoint, "on_train_epoch_end", 1)
    before = run(tmp_path, kill, data=digits(num_workers), model=ImpatientRecorder())
    after = run(tmp_path, data=digits(num_workers), model=ImpatientRecorder(), checkpoint=checkpoint)
    assert before.seen + after.seen == expected


def test_twice_interrupted_in_one_epoch(whole: PlaceRecorder, tmp_path: Path) -> None:
    first, second = tmp_path / "1.ckpt", tmp_path / "2.ckpt"
    seen = run(tmp_path, SaveAndDie(first, "on_train_batch_end", 1, 1)).seen
    seen += run(tmp_path, SaveAndDie(second, "on_train_batch_end", 1, 4), checkpoint=first).seen
    assert len(seen) == BATCHES + 5
    assert torch.load(second, weights_only=True)["Digits"] == {"epoch": 1, "batch": 5, "global_batch_size": 200}
    assert seen + run(tmp_path, checkpoint=second).seen == whole.seen


def test_fit_after_a_loaded_checkpoint_starts_afresh(tmp_path: Path) -> None:
    data = Digits()
    data.load_state_dict({"epoch": 3, "batch": 2, "global_batch_size": 128})
    data.setup("fit")
    assert sum(len(batch.index) for batch in data.train_dataloader()) == 1294


def test_place_is_used_by_one_loader_only() -> None:
    data = Digits()
    data.load_state_dict({"epoch": 3, "batch": 2, "global_batch_size": 128})
    sizes = [sum(len(batch.index) for batch in data.train_dataloader()) for _ in range(2)]
    assert sizes == [1294 - 2 * 128, 1294]


def test_other_batch_size_in_the_middle_of_an_epoch_is_reported() -> None:
    data = Digits(batch_size=64)
    data.load_state_dict({"epoch": 3, "batch": 2, "global_batch_size": 128})
    with pytest.warns(UserWarning, match="made with 128 images a step .* goes on with 64"):
        data.train_dataloader()


def uneven_digits(batch_size: int, num_workers: int = 0) -> Digits:
    """145 validation images: 73 for one process, 72 for the other, in batches of 72."""
    return Digits(batch_size=batch_size, eval_batch_size=72, seed=5, num_workers=num_workers, val_size=0.1008)


def two_runs(rank: int, folder: Path) -> None:
    checkpoint = None
    for name in ("whole", "resumed"):
        (folder / name).mkdir(exist_ok=True)
        two = {"strategy": "ddp", "devices": 2, "max_epochs": 3}
        save = SaveMidwayAndKeep(folder / name, after=BATCHES + 3)
        run(folder, save, data=uneven_digits(100, num_workers=1), checkpoint=checkpoint, **two)
        checkpoint = folder / "whole" / "midway.ckpt"


def test_two_processes_share_the_sequence_also_when_resumed(tmp_path: Path) -> None:
    in_two_processes(two_runs, tmp_path)
    whole, resumed = (
        [torch.load(tmp_path / name / f"{rank}.pt") for rank in range(2)] for name in ("whole", "resumed")
    )
    for (seen, _), (seen_again, _) in zip(whole, resumed, strict=True):
        assert seen_again == seen[BATCHES + 3 :]
    alone = run(tmp_path, data=uneven_digits(200), max_epochs=3)
    for one, first, second in zip(alone.seen, whole[0][0], whole[1][0], strict=True):
        dealt = [index for pair in zip(first[2], second[2], strict=True) for index in pair]
        assert dealt[: len(one[2])] == one[2]
    assert sorted(whole[0][1] + whole[1][1]) == sorted(3 * list(range(145)))
