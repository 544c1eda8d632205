"""Samples in the course of training, samples as points, and the ways between samples."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn import Full, Plain, loader, names, pixels, trainer_in
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

import callbacks.pictures
from callbacks.drawing import image_grid
from callbacks.pictures import PATHS, STEPS, Pictures, slerp
from callbacks.publishing import MOST_FRAMES, thinned
from datamodules import GaussianRing, PointBatch
from lit_models import VAE


class Painter(Plain):
    """Its samples show how many batches it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def on_train_batch_end(self, *_: Any) -> None:
        self.seen += 1

    def sample(self, n: int, label: int | None = None) -> Tensor:
        return torch.full((n, 1, 8, 8), float(self.seen) / 64)  # type: ignore[arg-type]


class PointModel(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def training_step(self, batch: PointBatch, batch_idx: int) -> Tensor:
        return (batch.x - self.shift).square().mean()

    def validation_step(self, batch: PointBatch, batch_idx: int) -> None:
        pass

    test_step = validation_step

    def sample(self, n: int, label: int | None = None) -> Tensor:
        return torch.randn(n, 2) + self.shift

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Kill(Callback):
    def __init__(self, path: Path, save_at: int, die_at: int) -> None:
        self.path, self.save_at, self.die_at = path, save_at, die_at

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch == self.save_at:
            trainer.save_checkpoint(self.path)
        if trainer.current_epoch == self.die_at:
            raise RuntimeError("killed")


def frames_of(gif: Path) -> list[int]:
    """Grey level of each frame in its middle."""
    with Image.open(gif) as image:
        levels = []
        for place in range(getattr(image, "n_frames", 1)):
            image.seek(place)
            width, height = image.size
            levels.append(image.convert("L").getpixel((width // 4 + 2, height // 4 + 2)))
        return levels  # type: ignore[return-value]


def frame_names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "media" / "frames").iterdir())


def test_every_drawing_in_training_is_a_frame(tmp_path: Path) -> None:
    pictures = Pictures(every_n_epochs=2, n_samples=4)
    trainer = trainer_in(tmp_path, pictures, max_epochs=5)
    model = Painter()
    trainer.fit(model, loader(), loader())
    steps = [6, 12, 15]
    assert frame_names(tmp_path) == [f"samples-{step:09d}.png" for step in steps]
    expected = [round(step / 64 * 255) for step in steps]
    assert frames_of(tmp_path / "media" / "samples.gif") == pytest.approx(expected, abs=3)
    trainer.test(model, loader(), verbose=False)
    trainer.validate(model, loader(), verbose=False)
    assert len(frame_names(tmp_path)) == 3
    assert "test_samples.gif" not in names(pictures)


def test_a_continued_run_replaces_the_frames_behind_its_checkpoint(tmp_path: Path) -> None:
    checkpoint, arguments = tmp_path / "a.ckpt", {"every_n_epochs": 1, "n_samples": 4}
    kill = Kill(checkpoint, 1, 3)
    with pytest.raises(RuntimeError, match="killed"):
        trainer_in(tmp_path, None, max_epochs=6, callbacks=[Pictures(**arguments), kill]).fit(
            Painter(), loader(), loader()
        )
    assert len(frame_names(tmp_path)) == 4

    class Brighter(Painter):
        def sample(self, n: int, label: int | None = None) -> Tensor:
            return super().sample(n) + 0.5

    trainer_in(tmp_path, Pictures(**arguments), max_epochs=4).fit(Brighter(), loader(), loader(), ckpt_path=checkpoint)
    assert frame_names(tmp_path) == [f"samples-{step:09d}.png" for step in (3, 6, 9, 12)]
    expected = [255 * (step / 64 + 0.5 * (step > 6)) for step in (3, 6, 9, 12)]
    assert frames_of(tmp_path / "media" / "samples.gif") == pytest.approx(expected, abs=3)


def test_a_run_that_begins_anew_forgets_all_frames(tmp_path: Path) -> None:
    for epochs, count in ((3, 3), (2, 2)):
        trainer_in(tmp_path, Pictures(every_n_epochs=1), max_epochs=epochs).fit(Painter(), loader(), loader())
        assert len(frame_names(tmp_path)) == count


def test_frames_of_another_size_are_left_out(tmp_path: Path) -> None:
    checkpoint = tmp_path / "a.ckpt"
    trainer = trainer_in(tmp_path, Pictures(every_n_epochs=1, n_samples=4), max_epochs=1)
    trainer.fit(Painter(), loader(), loader())
    trainer.save_checkpoint(checkpoint)
    wider = Pictures(every_n_epochs=1, n_samples=2)
    trainer_in(tmp_path, wider, max_epochs=3).fit(Painter(), loader(), loader(), ckpt_path=checkpoint)
    assert len(frame_names(tmp_path)) == 3
    assert len(frames_of(tmp_path / "media" / "samples.gif")) == 2


@pytest.mark.parametrize("count", [1, MOST_FRAMES, MOST_FRAMES + 1, 1000])
def test_frames_are_thinned_evenly(count: int) -> None:
    frames = [Path(str(number)) for number in range(count)]
    kept = [int(path.name) for path in thinned(frames)]
    assert len(kept) == len(set(kept)) == min(count, MOST_FRAMES)
    assert (kept[0], kept[-1]) == (0, count - 1)
    gaps = {second - first for first, second in pairwise(kept)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_points_are_drawn_over_the_data_with_the_true_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def scatter(*arguments: Any) -> Figure:
        drawn.append(arguments)
        return original(*arguments)

    original = callbacks.pictures.sample_scatter
    monkeypatch.setattr(callbacks.pictures, "sample_scatter", scatter)
    data = GaussianRing(train_size=300, val_size=200, test_size=50)
    pictures = Pictures(every_n_epochs=1, scatter_points=150)
    trainer = trainer_in(tmp_path, pictures)
    trainer.fit(PointModel(), data)
    assert names(pictures) == ["samples.png", "samples.gif"]
    samples, shown, modes, title = drawn[-1]
    assert samples.shape == (150, 2)
    assert shown.equal(data.dataset("val").point[:150])
    assert modes[0].equal(data.modes)
    assert modes[1] == 0.02
    assert title == "150 samples after 6 training batches"
    assert len(frames_of(tmp_path / "media" / "samples.gif")) == 2
    trainer.test(PointModel(), data, verbose=False)
    assert drawn[-1][-1] == "150 samples"
    assert drawn[-1][1].equal(data.dataset("test").point)


def test_images_between_samples_keep_to_the_ends(tmp_path: Path) -> None:
    decoded: list[Tensor] = []

    class Latent(Full):
        def prior(self, n: int) -> Tensor:
            return torch.randn(n, 4)

        def decode(self, z: Tensor) -> Tensor:
            decoded.append(z)
            return super().decode(z)

    pictures = Pictures()
    trainer_in(tmp_path, pictures).validate(Latent(), loader(), verbose=False)
    assert names(pictures) == [
        f"{name}.png" for name in ("reconstructions", "samples", "interpolation", "traversal", "latents")
    ]
    grid = image_grid(torch.zeros(PATHS * STEPS, 1, 8, 8), STEPS)
    assert pixels(tmp_path / "media" / "interpolation.png").shape == grid.shape
    (z,) = [codes for codes in decoded if len(codes) == PATHS * STEPS]
    ends = z.view(PATHS, STEPS, 4)[:, [0, -1]]
    torch.manual_seed(0)
    torch.testing.assert_close(ends, torch.stack([torch.randn(PATHS, 4), torch.randn(PATHS, 4)], dim=1))


def test_slerp_goes_evenly_along_the_circle() -> None:
    start, end = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    torch.testing.assert_close(slerp(start, end, 1 / 3), torch.tensor([[3 * 3**0.5 / 2, 1.5]]))
    torch.testing.assert_close(slerp(start, 2 * start, 0.5), torch.tensor([[4.5, 0.0]]))
    torch.testing.assert_close(slerp(start, -start, 0.25), torch.tensor([[1.5, 0.0]]))


def test_a_vae_samples_from_its_prior_and_knows_no_classes() -> None:
    model = VAE((1, 8, 8), latent_dim=3)
    assert model.prior(5).shape == (5, 3)
    assert model.sample(5).shape == (5, 1, 8, 8)
    with pytest.raises(ValueError, match="label is 3: VAE knows no classes, leave it out"):
        model.sample(5, label=3)
