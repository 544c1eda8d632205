"""Runs on text that are killed and resumed, or have two processes, see the batches of a run of one without a break."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from processes import in_two_processes
from seen_batches import Recorder, SaveMidway

from datamodules import AssociativeRecall, NumberWords, ResumableDataModule
from datamodules.continuous_text import ContinuousText
from datamodules.text import TextDataModule

Seen = list[tuple[int, int, list[int], int]]
SIZES: dict[str, Any] = {"train_size": 331, "val_size": 50, "test_size": 20}


class Counting(ContinuousText):
    """A small text."""

    def read_text(self) -> str:
        return " ".join(map(str, range(4000)))


TESTED: dict[str, Callable[..., TextDataModule[Any]]] = {
    "windows": lambda each=1, **more: Counting(context=64, batch_size=40 // each, seed=5, **more),
    "sequences": lambda each=1, **more: AssociativeRecall(batch_size=48 // each, seed=5, **SIZES, **more),
    "pairs": lambda each=1, **more: NumberWords(batch_size=64 // each, seed=5, **SIZES, **more),
    "tokens": lambda each=1, **more: NumberWords(batch_size=64 // each, batch_tokens=1600 // each, **SIZES, **more),
}
EPOCHS = 3


class TextRecorder(Recorder):
    """Notes which examples come where, and something of what they hold. Has a buffer, which processes synchronise."""

    step: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.zeros(()))
        self.places: Seen = []
        self.validated: list[int] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        content = int(batch.target.sum()) + batch.tokens
        self.places.append((self.current_epoch, batch_idx, batch.index.tolist(), content))
        return self.weight

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.validated += batch.index.tolist()


class SaveMidwayAndAll(SaveMidway):
    """Keeps at the end what each process has seen, too."""

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, TextRecorder)
        torch.save((module.places, module.validated), self.path.parent / f"{trainer.global_rank}.pt")


def run(
    folder: Path, data: ResumableDataModule[Any], after: int = 0, checkpoint: Path | None = None, **arguments: Any
) -> TextRecorder:
    folder.mkdir(exist_ok=True)
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=EPOCHS,
        num_sanity_val_steps=0,
        callbacks=[SaveMidwayAndAll(folder, after)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )
    model = TextRecorder()
    trainer.fit(model, data, ckpt_path=checkpoint)
    return model


@pytest.mark.parametrize("kind", TESTED)
def test_epochs_have_equally_many_batches_in_new_orders(kind: str, tmp_path: Path) -> None:
    places = run(tmp_path, TESTED[kind]()).places
    epochs = [[place for place in places if place[0] == epoch] for epoch in range(EPOCHS)]
    assert len({len(epoch) for epoch in epochs}) == 1
    assert len(epochs[0]) >= 4
    assert len({str([index for _, _, index, _ in epoch]) for epoch in epochs}) == EPOCHS
    if kind != "windows":
        for epoch in epochs:
            assert sorted(chain.from_iterable(index for _, _, index, _ in epoch)) == list(range(331))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("kind", TESTED)
def test_resumed_run_continues_the_sequence(kind: str, num_workers: int, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", TESTED[kind]())
    batches = len(whole.places) // EPOCHS
    for after in (2, batches, batches + 3):  # in the first epoch, at its end, in the second
        made = run(tmp_path / "first", TESTED[kind](num_workers=num_workers), after)
        assert made.places == whole.places
        checkpoint = tmp_path / "first" / "midway.ckpt"
        resumed = run(tmp_path / "second", TESTED[kind](num_workers=num_workers), checkpoint=checkpoint)
        assert resumed.places == whole.places[after:]


def two_runs(rank: int, folder: Path) -> None:
    two = {"strategy": "ddp", "devices": 2}
    for kind in TESTED:
        for name, checkpoint in (("whole", None), ("resumed", folder / f"{kind} whole" / "midway.ckpt")):
            run(folder / f"{kind} {name}", TESTED[kind](each=2, num_workers=1), 5, checkpoint, **two)


def test_two_processes_share_the_sequence_also_when_resumed(tmp_path: Path) -> None:
    in_two_processes(two_runs, tmp_path)
    for kind in TESTED:
        whole, resumed = (
            [torch.load(tmp_path / f"{kind} {name}" / f"{rank}.pt") for rank in range(2)]
            for name in ("whole", "resumed")
        )
        assert [places for places, _ in resumed] == [places[5:] for places, _ in whole]
        alone = run(tmp_path / "alone", TESTED[kind]())
        assert len(alone.places) == len(whole[0][0]) == len(whole[1][0])
        for one, first, second in zip(alone.places, whole[0][0], whole[1][0], strict=True):
            assert set(one[2]) <= set(first[2] + second[2])
            assert len(first[2] + second[2]) - len(one[2]) <= 1  # the first example again, where there is an odd number
        assert sorted(whole[0][1] + whole[1][1]) == sorted(alone.validated)
