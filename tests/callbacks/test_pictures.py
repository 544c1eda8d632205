import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import IMAGES, Full, Plain, loader, names, pixels, trainer_in
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor
from torch.utils.data import DataLoader

from callbacks.drawing import image_grid
from callbacks.pictures import Pictures
from datamodules.batch import ImageBatch, UnlabelledImageBatch


class Denoiser(Plain):
    def corrupt(self, image: Tensor, index: Tensor) -> Tensor:
        return image * (index % 2).view(-1, 1, 1, 1)

    def reconstruct(self, image: Tensor) -> Tensor:
        return 1 - image


def test_draws_what_the_model_allows_and_tells_where(tmp_path: Path) -> None:
    pictures = Pictures(n_samples=9)
    trainer = trainer_in(tmp_path, pictures)
    model = Full()
    trainer.fit(model, loader(), loader())
    all_four = ["reconstructions.png", "samples.png", "traversal.png", "latents.png"]
    drawn = [*all_four[:2], "samples.gif", *all_four[2:]]
    assert names(pictures) == drawn
    trainer.test(model, loader(), verbose=False)
    assert names(pictures) == drawn + [f"test_{name}" for name in all_four]
    assert sorted(pictures.paths) == sorted((tmp_path / "media").glob("*.*"))
    assert pixels(tmp_path / "media" / "samples.png").shape == image_grid(torch.zeros(9, 1, 8, 8), 3).shape
    assert set(model.modes) == {False}


def test_a_model_without_the_methods_gets_no_pictures(tmp_path: Path) -> None:
    pictures = Pictures()
    trainer_in(tmp_path, pictures).fit(Plain(), loader(), loader())
    assert pictures.paths == []
    assert not (tmp_path / "media").exists()


def test_draws_in_a_fast_development_run(tmp_path: Path) -> None:
    pictures = Pictures()
    trainer_in(tmp_path, pictures, fast_dev_run=True).fit(Full(), loader(), loader())
    assert len(pictures.paths) == 5


def test_panel_shows_the_first_validation_images_and_the_trained_models_output(tmp_path: Path) -> None:
    pictures = Pictures(n_images=7)
    model = Full()
    trainer_in(tmp_path, pictures, num_sanity_val_steps=1).fit(model, loader(), loader())
    model.eval()
    with torch.no_grad():
        grid = image_grid(torch.cat([IMAGES[:7], model.reconstruct(IMAGES[:7])]), 7)
    drawn = pixels(tmp_path / "media" / "reconstructions.png")
    assert (drawn[:, -grid.shape[1] :].int() - grid.int()).abs().max() <= 1


def test_what_a_denoiser_shows_is_its_output_for_the_corrupted_input(tmp_path: Path) -> None:
    pictures = Pictures(n_images=6)
    trainer_in(tmp_path, pictures).validate(Denoiser(), loader(), verbose=False)
    noisy = IMAGES[:6] * (torch.arange(6) % 2).view(-1, 1, 1, 1)
    grid = image_grid(torch.cat([IMAGES[:6], noisy, 1 - noisy]), 6)
    assert names(pictures) == ["reconstructions.png"]
    drawn = pixels(tmp_path / "media" / "reconstructions.png")
    assert (drawn[:, -grid.shape[1] :].int() - grid.int()).abs().max() <= 1


def test_training_is_bit_for_bit_the_same_with_and_without_pictures(tmp_path: Path) -> None:
    states = []
    for pictures in (None, Pictures(every_n_epochs=1)):
        torch.manual_seed(5)
        random.seed(5)
        np.random.seed(5)
        model = Full()
        trainer_in(tmp_path, pictures, max_epochs=3).fit(model, loader(shuffle=True), loader())
        states.append((model.state_dict(), torch.get_rng_state(), random.getstate(), np.random.get_state()[1]))
    (weights, rng, python_rng, numpy_rng), (other_weights, other_rng, other_python_rng, other_numpy_rng) = states
    assert all(torch.equal(weights[key], other_weights[key]) for key in weights)
    assert torch.equal(rng, other_rng)
    assert python_rng == other_python_rng
    assert np.array_equal(numpy_rng, other_numpy_rng)


def test_drawing_leaves_modes_weights_and_gradients_alone(tmp_path: Path) -> None:
    pictures = Pictures()
    model = Full()
    trainer = trainer_in(tmp_path, pictures, max_epochs=1)
    trainer.fit(model, loader(), loader())
    model.train()
    model.encoder[1].eval()  # a frozen part of a model in training
    modes = {name: module.training for name, module in model.named_modules()}
    weights = copy.deepcopy(model.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    pictures._draw(trainer, model)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert (parameter.grad is None and gradient is None) or torch.equal(parameter.grad, gradient)


def test_modes_and_random_state_come_back_after_a_failure(tmp_path: Path) -> None:
    class Failing(Full):
        def sample(self, n: int) -> Tensor:
            torch.randn(n)
            raise RuntimeError("no samples today")

    pictures = Pictures()
    model = Failing()
    trainer = trainer_in(tmp_path, pictures)
    with pytest.raises(RuntimeError, match="no samples today"):
        trainer.validate(model, loader(), verbose=False)
    model.train()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="no samples today"):
        pictures._draw(trainer, model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training


def test_samples_are_drawn_from_the_same_noise_each_time(tmp_path: Path) -> None:
    class Noise(Plain):
        def sample(self, n: int) -> Tensor:
            drawn.append(torch.rand(n, 1, 8, 8))
            return drawn[-1]

    drawn: list[Tensor] = []
    trainer_in(tmp_path, Pictures(every_n_epochs=1), max_epochs=3).fit(Noise(), loader(shuffle=True), loader())
    assert len(drawn) == 3
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    assert torch.equal(pixels(tmp_path / "media" / "samples.png"), image_grid(drawn[0], 8))


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({"max_epochs": 5}, [2, 4, 5]),
        ({"max_epochs": 4}, [2, 4]),
        ({"max_epochs": 1}, [1]),
        ({"max_epochs": 7, "check_val_every_n_epoch": 3}, [3, 6, 7]),
        ({"max_epochs": 4, "val_check_interval": 1}, [2, 4, 4]),
        ({"max_epochs": -1, "max_steps": 8}, [2, 3]),
    ],
)
def test_draws_at_the_interval_and_at_the_end(tmp_path: Path, settings: dict[str, int], epochs: list[int]) -> None:
    class Counting(Plain):
        def sample(self, n: int) -> Tensor:
            drawn.append((trainer.fit_loop.epoch_loop.total_batch_idx + 3) // 3)
            return torch.zeros(n, 1, 8, 8)

    drawn: list[int] = []
    trainer = trainer_in(tmp_path, Pictures(every_n_epochs=2), **settings)
    trainer.fit(Counting(), loader(), loader())
    assert drawn == epochs


def test_a_sampler_that_follows_gradients_works(tmp_path: Path) -> None:
    class Langevin(Plain):
        def sample(self, n: int) -> Tensor:
            x = torch.rand(n, 1, 8, 8)
            with torch.enable_grad():
                x.requires_grad_(True)
                (slope,) = torch.autograd.grad(self.encoder(x).square().sum(), x)
            return (x - 0.1 * slope).detach()

    pictures = Pictures()
    trainer_in(tmp_path, pictures).validate(Langevin(), loader(), verbose=False)
    assert names(pictures) == ["samples.png"]


def test_traversal_sweeps_the_dimensions_that_vary_most_around_the_mean(tmp_path: Path) -> None:
    class Spread(Plain):
        def embed(self, image: Tensor) -> Tensor:
            codes.append(image.flatten(1)[:, :3] * torch.tensor([1.0, 10.0, 0.1]) + 5)
            return codes[-1]

        def decode(self, z: Tensor) -> Tensor:
            decoded.append(z)
            return torch.zeros(len(z), 1, 8, 8)

    codes: list[Tensor] = []
    decoded: list[Tensor] = []
    pictures = Pictures(traversal_dims=2, scatter_points=40)
    trainer_in(tmp_path, pictures).validate(Spread(), loader(), verbose=False)
    seen = torch.cat(codes[:3])
    assert len(seen) == 40
    mean, deviation = seen.mean(0), seen.std(0)
    (z,) = decoded
    z = z.view(2, 7, 3)
    for row, dimension in enumerate((1, 0)):
        steps = (z[row] - mean) / deviation
        expected = torch.zeros(7, 3)
        expected[:, dimension] = torch.arange(-3, 4)
        assert torch.allclose(steps, expected, atol=1e-3)


def test_codes_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    class Diverging(Plain):
        def embed(self, image: Tensor) -> Tensor:
            return image.flatten(1)[:, :3] / (image.flatten(1)[:, :1] > 0.5)

    class Diverged(Plain):
        def embed(self, image: Tensor) -> Tensor:
            return torch.full((len(image), 3), torch.nan)

    for model, expected in ((Diverging(), ["latents.png"]), (Diverged(), [])):
        pictures = Pictures()
        trainer_in(tmp_path, pictures).validate(model, loader(), verbose=False)
        assert names(pictures) == expected


def test_images_without_labels_are_enough(tmp_path: Path) -> None:
    def unlabelled(rows: list[int]) -> UnlabelledImageBatch:
        return UnlabelledImageBatch(IMAGES[rows], torch.tensor(rows))

    class Quiet(Full):
        def validation_step(self, batch: UnlabelledImageBatch, batch_idx: int) -> None:
            pass

    pictures = Pictures()
    data: DataLoader[int] = DataLoader(range(48), batch_size=16, collate_fn=unlabelled)  # type: ignore[arg-type]
    trainer_in(tmp_path, pictures).validate(Quiet(), data, verbose=False)
    assert len(pictures.paths) == 4


def test_data_that_are_not_images_are_left_alone(tmp_path: Path) -> None:
    class Text(Full):
        def validation_step(self, batch: Tensor, batch_idx: int) -> None:
            pass

    pictures = Pictures()
    trainer_in(tmp_path, pictures).validate(Text(), DataLoader(torch.arange(8)), verbose=False)  # type: ignore[arg-type]
    assert pictures.paths == []


def test_only_the_first_loader_is_shown(tmp_path: Path) -> None:
    class Two(Denoiser):
        def validation_step(self, batch: ImageBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
            pass

    pictures = Pictures(n_images=10)
    loaders = [loader(range(4)), loader(range(20, 40))]
    trainer_in(tmp_path, pictures).validate(Two(), loaders, verbose=False)
    grid = image_grid(torch.cat([IMAGES[:4], IMAGES[:4] * 0]), 4)
    drawn = pixels(tmp_path / "media" / "reconstructions.png")
    assert drawn.shape[1] < 2 * grid.shape[1]
    assert torch.equal(drawn[:99, -grid.shape[1] :], grid[:99])


def test_pictures_go_to_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(save_dir=tmp_path, project="pictures", offline=True)
    trainer_in(tmp_path, Pictures(n_samples=4), max_epochs=1, logger=logger).fit(Full(), loader(), loader())
    folder = Path(logger.experiment.dir) / "media" / "images" / "media"
    wandb.finish()
    sent = {path.name.split("_")[0]: path for path in folder.iterdir()}
    assert set(sent) == {"reconstructions", "samples", "traversal", "latents"}
    (over_time,) = (folder.parents[1] / "videos" / "media").iterdir()
    assert over_time.read_bytes() == (tmp_path / "media" / "samples.gif").read_bytes()
    assert sent["samples"].read_bytes() == (tmp_path / "media" / "samples.png").read_bytes()


@pytest.mark.parametrize("name", ["every_n_epochs", "n_images", "n_samples", "traversal_dims", "scatter_points"])
def test_sizes_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0: choose 1 or more"):
        Pictures(**{name: 0})


def test_of_two_domains_the_target_is_drawn(tmp_path: Path) -> None:
    class Between(Denoiser):
        domains = ("source", "target")

        def embed(self, image: Tensor) -> Tensor:
            return self.encoder(image)

        def validation_step(self, batch: ImageBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
            pass

    pictures = Pictures(n_images=6)
    loaders = [loader(range(24)), loader(range(24, 48))]
    trainer_in(tmp_path, pictures).validate(Between(), loaders, verbose=False)
    noisy = IMAGES[24:30] * (torch.arange(6) % 2).view(-1, 1, 1, 1)
    grid = image_grid(torch.cat([IMAGES[24:30], noisy, 1 - noisy]), 6)
    assert names(pictures) == ["reconstructions.png"]  # DomainPictures draws the codes
    drawn = pixels(tmp_path / "media" / "reconstructions.png")
    assert (drawn[:, -grid.shape[1] :].int() - grid.int()).abs().max() <= 1
