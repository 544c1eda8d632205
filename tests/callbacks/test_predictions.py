from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from callbacks.predictions import PredictionWriter, merge_parts

EXAMPLES = 11  # odd, so that two processes need one twice


class Encoder(LightningModule):
    def predict_step(self, batch: Tensor, batch_idx: int) -> Any:
        return {"latent": torch.stack([batch * 2.0, batch + 0.5], dim=1), "index": batch, "label": batch % 3}


class HalfPrecision(LightningModule):
    def predict_step(self, batch: Tensor, batch_idx: int) -> Any:
        return {"latent": batch.bfloat16()[:, None], "index": batch}


class Translator(LightningModule):
    def predict_step(self, batch: Tensor, batch_idx: int) -> Any:
        return {"hypothesis": [f"line\n{place} \N{SNOWMAN}\0" for place in batch.tolist()], "index": batch}


class Scorer(LightningModule):
    def predict_step(self, batch: Tensor, batch_idx: int) -> Any:
        return {"nll": batch / 2, "hypothesis": [""] * len(batch), "index": batch}


class Other(LightningModule):
    def predict_step(self, batch: Tensor, batch_idx: int) -> Any:
        return ["words"] * len(batch)


def data(order: Tensor | None = None) -> DataLoader[Tensor]:
    rows = torch.arange(EXAMPLES) if order is None else order
    return DataLoader(rows, batch_size=2)  # type: ignore[arg-type]


def predict(folder: Path, model: LightningModule, loaders: Any, **kwargs: Any) -> PredictionWriter:
    writer = PredictionWriter()
    settings: dict[str, Any] = {"devices": 1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = Trainer(default_root_dir=folder, callbacks=[writer], **{**settings, **kwargs})
    trainer.predict(model, loaders, return_predictions=False)
    return writer


def assert_complete(path: Path) -> None:
    with np.load(path) as file:
        assert set(file) == {"latent", "index", "label"}
        index = np.arange(EXAMPLES)
        assert np.array_equal(file["index"], index)
        assert np.array_equal(file["latent"], np.stack([index * 2.0, index + 0.5], axis=1).astype(np.float32))
        assert np.array_equal(file["label"], index % 3)


def test_one_process_writes_all_codes_in_the_order_of_the_data(tmp_path: Path) -> None:
    writer = predict(tmp_path, Encoder(), data(torch.randperm(EXAMPLES)))
    assert writer.paths == [tmp_path / "latents.npz"]
    assert_complete(tmp_path / "latents.npz")
    assert list(tmp_path.iterdir()) == writer.paths


def test_two_processes_write_the_same_file(tmp_path: Path) -> None:
    predict(tmp_path, Encoder(), data(), devices=2, strategy="ddp_fork")
    assert_complete(tmp_path / "latents.npz")
    assert list(tmp_path.glob("*")) == [tmp_path / "latents.npz"]


def test_labels_are_optional_and_half_precision_is_widened(tmp_path: Path) -> None:
    predict(tmp_path, HalfPrecision(), data())
    with np.load(tmp_path / "latents.npz") as file:
        assert set(file) == {"latent", "index"}
        assert file["latent"].dtype == np.float32
        assert np.array_equal(file["latent"][:, 0], np.arange(EXAMPLES))


def test_predictions_of_another_kind_are_left_alone(tmp_path: Path) -> None:
    assert predict(tmp_path, Other(), data()).paths == []
    assert list(tmp_path.iterdir()) == []


def test_several_loaders_are_refused(tmp_path: Path) -> None:
    class Two(Encoder):
        def predict_step(self, batch: Tensor, batch_idx: int, dataloader_idx: int = 0) -> Any:
            return super().predict_step(batch, batch_idx)

    with pytest.raises(ValueError, match="was given 2 dataloaders"):
        predict(tmp_path, Two(), [data(), data()])


def test_merging_sorts_and_drops_repeated_examples() -> None:
    parts = [
        {"latent": np.array([[4.0], [0.0], [2.0]]), "index": np.array([4, 0, 2])},
        {},
        {"latent": np.array([[3.0], [1.0], [0.0]]), "index": np.array([3, 1, 0])},
    ]
    merged = merge_parts(parts)
    assert merged["index"].tolist() == [0, 1, 2, 3, 4]
    assert merged["latent"].tolist() == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert merge_parts([{}, {}]) == {}


def test_examples_that_a_model_makes_have_a_file_of_their_own(tmp_path: Path) -> None:
    class Generator(LightningModule):
        def predict_step(self, batch: Tensor, batch_idx: int) -> Any:
            return {"sample": batch.float().view(-1, 1, 1, 1), "index": batch}

    assert predict(tmp_path, Generator(), data()).paths == [tmp_path / "samples.npz"]
    with np.load(tmp_path / "samples.npz") as file:
        assert file["sample"].flatten().tolist() == list(range(EXAMPLES))


@pytest.mark.parametrize("settings", [{}, {"devices": 2, "strategy": "ddp_fork"}], ids=["one", "two"])
def test_texts_are_lines_in_the_order_of_the_data(settings: dict[str, Any], tmp_path: Path) -> None:
    predict(tmp_path, Translator(), data(None if settings else torch.randperm(EXAMPLES)), **settings)
    lines = (tmp_path / "translations.txt").read_text(encoding="utf-8").split("\n")
    assert lines == [*(f"line {place} \N{SNOWMAN}\0" for place in range(EXAMPLES)), ""]
    assert [path.name for path in tmp_path.iterdir()] == ["translations.txt"]


def test_scores_have_a_file_beside_the_texts(tmp_path: Path) -> None:
    writer = predict(tmp_path, Scorer(), data(torch.randperm(EXAMPLES)))
    assert writer.paths == [tmp_path / "scores.npz", tmp_path / "translations.txt"]
    with np.load(tmp_path / "scores.npz") as file:
        assert set(file) == {"nll", "index"}
        assert file["nll"].tolist() == [place / 2 for place in range(EXAMPLES)]
