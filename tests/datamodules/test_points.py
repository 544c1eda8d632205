import math
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from seen_batches import Recorder, SaveMidway

import cli
from datamodules import Digits, GaussianGrid, GaussianMixture, GaussianRing, ImageBatch

KINDS = [GaussianRing, GaussianGrid]


def test_modes_stand_where_the_papers_put_them() -> None:
    ring, grid = GaussianRing(), GaussianGrid()
    assert (ring.num_classes, grid.num_classes) == (8, 25)
    torch.testing.assert_close(ring.modes.norm(dim=1), torch.full((8,), 2.0))
    torch.testing.assert_close(ring.modes[:2], torch.tensor([[2.0, 0.0], [math.sqrt(2), math.sqrt(2)]]))
    assert sorted(map(tuple, grid.modes.tolist())) == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]
    assert GaussianGrid(side=2, spacing=3.0).modes.tolist() == [[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]]
    assert ring.modes.dtype == grid.modes.dtype == torch.float32
    assert (ring.mode_std, grid.mode_std) == (0.02, 0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_draws_around_the_mode_of_their_label(kind: type[GaussianMixture]) -> None:
    data = kind(train_size=50_000)
    batch = data.dataset("train").__getitems__(range(50_000))
    assert (batch.point.dtype, batch.label.dtype, batch.index.dtype) == (torch.float32, torch.int64, torch.int64)
    assert batch.x is batch.point
    assert batch.point.shape[1:] == data.data_shape
    residual = (batch.point - data.modes[batch.label]) / data.mode_std
    torch.testing.assert_close(residual.mean(0), torch.zeros(2), atol=0.02, rtol=0)
    torch.testing.assert_close(residual.T.cov(), torch.eye(2), atol=0.03, rtol=0)
    share = batch.label.bincount(minlength=data.num_classes) * data.num_classes / 50_000
    assert ((share - 1).abs() < 0.15).all()


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_the_same_every_time_and_share_no_point(kind: type[GaussianMixture]) -> None:
    sizes = {"train_size": 300, "val_size": 200, "test_size": 100}
    one, two, other = kind(**sizes, seed=0), kind(**sizes, seed=1), kind(**sizes, split_seed=1)
    points = [one.dataset(part).point for part in ("train", "val", "test")]  # type: ignore[arg-type]
    assert [len(part) for part in points] == [300, 200, 100]
    assert len(torch.cat(points).unique(dim=0)) == 600
    assert all(two.dataset(part).point.equal(points[i]) for i, part in enumerate(("train", "val", "test")))  # type: ignore[arg-type]
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()
    assert kind(**sizes, mode_std=0.1).fingerprint() != one.fingerprint()


def test_no_validation_part() -> None:
    data = GaussianRing(val_size=0)
    assert data.val_dataloader() == []
    with pytest.raises(ValueError, match="val_size=0 leaves no validation part"):
        data.predict_dataloader()


def run(folder: Path, checkpoint: Path | None = None) -> list[list[int]]:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    model, data = Recorder(), GaussianRing(train_size=100, val_size=0, batch_size=40, seed=3)
    trainer = Trainer(accelerator="cpu", max_epochs=3, callbacks=SaveMidway(folder, after=4), **quiet)  # type: ignore[arg-type]
    trainer.fit(model, data, ckpt_path=checkpoint)
    return [batch.index.tolist() for batch in model.seen]


def test_epochs_have_all_points_in_a_new_order_and_are_resumed(tmp_path: Path) -> None:
    whole = run(tmp_path)
    epochs = [list(chain.from_iterable(whole[3 * epoch : 3 * epoch + 3])) for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == 3 * [list(range(100))]
    assert len(set(map(tuple, epochs))) == 3
    assert run(tmp_path, tmp_path / "midway.ckpt") == whole[4:]


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (GaussianRing, {"n_modes": 0}),
        (GaussianRing, {"radius": 0.0}),
        (GaussianRing, {"mode_std": -0.1}),
        (GaussianRing, {"train_size": 0}),
        (GaussianRing, {"val_size": -1}),
        (GaussianRing, {"test_size": 0}),
        (GaussianRing, {"batch_size": 0}),
        (GaussianGrid, {"side": 0}),
        (GaussianGrid, {"spacing": float("nan")}),
    ],
)
def test_impossible_arguments_are_named(kind: type[GaussianMixture], arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"^{name}={value!r} is impossible: choose "):
        kind(**arguments)


def test_images_have_the_same_names_for_shape_and_examples() -> None:
    data = Digits()
    assert data.data_shape == data.image_shape == (1, 8, 8)
    batch = data.dataset("train").__getitems__([3, 4])
    assert isinstance(batch, ImageBatch)
    assert batch.x is batch.image


def test_a_model_of_images_refuses_points_in_one_line(
    errors_of: Callable[[list[str]], list[str]], tmp_path: Path
) -> None:
    (line,) = errors_of(["fit", "--model=VAE", "--data=GaussianRing", f"--run.dir={tmp_path}"])
    assert line.startswith("error: data: GaussianRing has no image_shape, which VAE needs: choose other --data")


def test_the_base_class_is_not_offered(errors_of: Callable[[list[str]], list[str]]) -> None:
    (line,) = errors_of(["fit", "--model=VAE", "--data=GaussianMixture", "--data.mode_std=1"])
    assert "GaussianMixture is only a base" in line


def test_command_line_sees_every_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fit", "--data.help", "GaussianGrid"])
    text = capsys.readouterr().out
    for name in ("side", "spacing", "mode_std", "train_size", "val_size", "batch_size", "drop_last", "predict_part"):
        assert f"--data.{name} " in text
