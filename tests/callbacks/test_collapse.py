import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn import trainer_in
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

import cli
from callbacks.collapse import WINDOW, CollapseWarning

BATCHES = 10


class Logging(LightningModule):
    """Logs, for each batch, what a function of its number gives; for each validation what stands in a list."""

    def __init__(self, train: Any = None, val: list[dict[str, float]] | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.train_metrics, self.val_metrics, self.batches, self.rounds = train, val or [], 0, 0

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self.train_metrics and self.trainer._logger_connector.should_update_logs:
            self.log_dict(self.train_metrics(self.batches))
        self.batches += 1
        return self.weight

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        if self.rounds < len(self.val_metrics):
            self.log_dict(self.val_metrics[self.rounds])

    def on_validation_epoch_end(self) -> None:
        self.rounds += 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["place"] = (self.batches, self.rounds)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batches, self.rounds = checkpoint["place"]


def warnings_of(
    model: Logging, folder: Path, epochs: int, checkpoint: Path | None = None, every: int = 1
) -> tuple[list[str], Any]:
    data: DataLoader[Any] = DataLoader(torch.zeros(BATCHES), batch_size=1)  # type: ignore[arg-type]
    settings = {"max_epochs": epochs, "log_every_n_steps": every, "num_sanity_val_steps": 1, "limit_val_batches": 1}
    trainer = trainer_in(folder, None, callbacks=[CollapseWarning()], **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model, data, data, ckpt_path=checkpoint)
    texts = [str(warning.message) for warning in caught]
    return [text for text in texts if text.startswith(("the discriminator", "the generator"))], trainer


def sure(batch: int) -> dict[str, float]:
    return {"train/d_x": 0.99, "train/d_gz": 0.01}


def test_a_saturated_discriminator_is_named_once_with_its_numbers_and_the_mend(tmp_path: Path) -> None:
    (text,), _ = warnings_of(Logging(sure), tmp_path, 6)
    assert "on the last 20 logged batches train/d_x was above 0.990 and train/d_gz below 0.010" in text
    for key in ("discriminator_optimizer.init_args.lr", "discriminator_steps", "r1", "loss"):
        assert f"model.init_args.{key}" in text


@pytest.mark.parametrize(
    "train",
    [
        lambda batch: {"train/d_x": 0.99, "train/d_gz": 0.2},
        lambda batch: {"train/d_x": 0.6, "train/d_gz": 0.01},
        lambda batch: sure(batch) if batch % WINDOW else {"train/d_x": 0.5, "train/d_gz": 0.5},
        lambda batch: {"train/d_x": 0.99},
        None,
    ],
    ids=["fooled", "unsure", "now and then", "half of it", "nothing"],
)
def test_any_other_discriminator_is_left_alone(train: Any, tmp_path: Path) -> None:
    assert warnings_of(Logging(train), tmp_path, 6)[0] == []


def test_only_logged_batches_count(tmp_path: Path) -> None:
    assert warnings_of(Logging(sure), tmp_path, 9, every=5)[0] == []
    assert len(warnings_of(Logging(sure), tmp_path, 10, every=5)[0]) == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"val/diversity": 0.1, "val/recall": 0.5}, "val/diversity is 0.100, below 0.25."),
        ({"val/diversity": 0.9, "val/recall": 0.0}, "val/recall is 0.000, below 0.02."),
        (
            {"val/diversity": 0.1, "val/recall": 0.01},
            "val/diversity is 0.100, below 0.25 and val/recall is 0.010, below",
        ),
        ({"val/diversity": 0.2}, "val/diversity is 0.200, below 0.25."),
    ],
)
def test_lost_diversity_is_named_once_from_the_third_validation_on(
    bad: dict[str, float], words: str, tmp_path: Path
) -> None:
    sanity = [bad]
    assert warnings_of(Logging(val=[*sanity, bad, bad]), tmp_path, 2)[0] == []
    (text,), _ = warnings_of(Logging(val=[*sanity, *5 * [bad]]), tmp_path, 5)
    assert words in text
    assert "model.init_args.r1" in text
    good = {"val/diversity": 0.9, "val/recall": 0.6}
    assert warnings_of(Logging(val=[*sanity, bad, bad, good, good]), tmp_path, 4)[0] == []


def test_a_continued_run_goes_on_counting_and_does_not_repeat_itself(tmp_path: Path) -> None:
    bad = {"val/diversity": 0.1}
    texts, trainer = warnings_of(Logging(sure, 9 * [bad]), tmp_path, 1)
    assert texts == []
    trainer.save_checkpoint(tmp_path / "1.ckpt")
    texts, trainer = warnings_of(Logging(sure, 9 * [bad]), tmp_path, 3, tmp_path / "1.ckpt")
    assert [text.split()[1] for text in texts] == ["discriminator", "generator"]
    trainer.save_checkpoint(tmp_path / "3.ckpt")
    assert torch.load(tmp_path / "3.ckpt", weights_only=True)["callbacks"]["CollapseWarning"]["validations"] == 3
    assert warnings_of(Logging(sure, 9 * [bad]), tmp_path, 6, tmp_path / "3.ckpt")[0] == []


def test_every_run_has_it(tmp_path: Path) -> None:
    main = cli.main(
        ["fit", "--config=configs/autoencoder/digits.yaml", f"--run.dir={tmp_path}", "--trainer.max_epochs=1"]
    )
    assert any(isinstance(callback, CollapseWarning) for callback in vars(main.trainer)["callbacks"])
