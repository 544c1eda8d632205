"""Pictures of what a model does: reconstructions, samples, latent traversals and a map of its codes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.seed import isolate_rng
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import (
    latent_scatter,
    principal_plane,
    reconstruction_panel,
    sample_panel,
    save_png,
    traversal_panel,
)
from callbacks.protocols import Corrupting, Decoding, Embedding, Generative, Reconstructive

SEED = 0  # of the draws behind every picture, so that pictures of one run show the same noise
SWEEP = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


class Pictures(Callback):
    """Draws whatever the model's methods allow, into the run's ``media/`` folder and to Weights & Biases.

    - ``reconstructions.png`` if it is ``Reconstructive``: input, noisy input if it is ``Corrupting``, reconstruction
    - ``samples.png`` if it is ``Generative``: new images
    - ``traversal.png`` if it is ``Embedding`` and ``Decoding``: the mean code, swept along single dimensions
    - ``latents.png`` if it is ``Embedding``, into two or more dimensions: codes in the plane, coloured by class

    It draws after the validation that completes every so many epochs, when training ends, and after a validation or
    test of its own; pictures of test data are named ``test_*.png``. A new picture replaces the one before. Only the
    process of rank zero draws, from its own share of the data, and nothing here waits for another process. Batches
    without an ``image`` field, and runs without validation, get no pictures.

    Drawing leaves no trace in training: the modes of all modules and the states of all random number generators are
    put back, and every draw begins at the same seed, so that pictures of different epochs can be compared.

    Args:
        every_n_epochs: epochs between pictures during training.
        n_images: examples in the panel of reconstructions.
        n_samples: new images in the panel of samples.
        traversal_dims: dimensions to sweep, those in which the codes vary most.
        scatter_points: most examples whose codes are drawn; they are kept in memory as uint8.

    Attributes:
        paths: the pictures of this run so far, in the order in which they were first drawn.

    Raises:
        ValueError: if an argument is below 1.
    """

    def __init__(
        self,
        every_n_epochs: int = 10,
        n_images: int = 10,
        n_samples: int = 64,
        traversal_dims: int = 10,
        scatter_points: int = 2000,
    ) -> None:
        sizes = {
            "every_n_epochs": every_n_epochs,
            "n_images": n_images,
            "n_samples": n_samples,
            "traversal_dims": traversal_dims,
            "scatter_points": scatter_points,
        }
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}: choose 1 or more")
        self.every_n_epochs = every_n_epochs
        self.n_images = n_images
        self.n_samples = n_samples
        self.traversal_dims = traversal_dims
        self.scatter_points = scatter_points
        self.paths: list[Path] = []
        self._examples = _Examples(max(n_images, scatter_points))
        self._periods = 0
        self._drawn_at = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets the examples of a run before this one."""
        wanted = self.scatter_points if isinstance(pl_module, Embedding) else 0
        self._examples = _Examples(max(self.n_images, wanted))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts epochs from where training starts, or continues."""
        self._periods = trainer.current_epoch // self.every_n_epochs
        self._drawn_at = -1

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts anew with the examples if the pass before was broken off."""
        self._examples.begin()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Remembers the first images of the first loader."""
        if trainer.is_global_zero and not trainer.sanity_checking and dataloader_idx == 0:
            self._examples.add(batch)

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if an interval is complete, or if this validation was all that was asked for."""
        if trainer.sanity_checking:
            return
        self._examples.complete = True
        periods = (trainer.current_epoch + 1) // self.every_n_epochs
        if trainer.state.fn != TrainerFn.FITTING or periods > self._periods:
            self._periods = periods
            self._draw(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the test data."""
        self._draw(trainer, pl_module, prefix="test_")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the trained model, while it is still on its device."""
        if _batches_seen(trainer) != self._drawn_at:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, model: LightningModule, prefix: str = "") -> None:
        if not trainer.is_global_zero or self._examples.count == 0:
            return
        self._drawn_at = _batches_seen(trainer)
        for name, draw in {
            "reconstructions": self._reconstructions,
            "samples": self._samples,
            "traversal": self._traversal,
            "latents": self._latents,
        }.items():
            with _undisturbed(model):
                figure = draw(model)
            if figure is not None:
                path = publish(trainer, prefix + name, figure)
                if path not in self.paths:
                    self.paths.append(path)

    def _reconstructions(self, model: LightningModule) -> Figure | None:
        if not isinstance(model, Reconstructive):
            return None
        image, index = (part.to(model.device) for part in self._examples.first(self.n_images))
        if not isinstance(model, Corrupting):
            return reconstruction_panel({"input": image, "reconstruction": model.reconstruct(image)})
        noisy = model.corrupt(image, index)
        return reconstruction_panel({"input": image, "noisy input": noisy, "reconstruction": model.reconstruct(noisy)})

    def _samples(self, model: LightningModule) -> Figure | None:
        if not isinstance(model, Generative):
            return None
        return sample_panel(model.sample(self.n_samples), columns=_columns(self.n_samples))

    def _traversal(self, model: LightningModule) -> Figure | None:
        if not (isinstance(model, Embedding) and isinstance(model, Decoding)):
            return None
        codes, _ = self._codes(model.embed, model.device)
        if len(codes) < 2:
            return None
        deviation, centre = torch.std_mean(codes, dim=0)
        dimensions = deviation.argsort(descending=True, stable=True)[: self.traversal_dims].tolist()
        z = centre.repeat(len(dimensions), len(SWEEP), 1)  # (D', S, D)
        for row, dimension in enumerate(dimensions):
            z[row, :, dimension] += torch.tensor(SWEEP) * deviation[dimension]
        images = model.decode(z.flatten(0, 1).to(model.device))
        labels = [f"$z_{{{dimension + 1}}}$   sd {deviation[dimension]:#.2g}" for dimension in dimensions]
        return traversal_panel(images.view(len(dimensions), len(SWEEP), *images.shape[1:]), labels, SWEEP)

    def _latents(self, model: LightningModule) -> Figure | None:
        if not isinstance(model, Embedding):
            return None
        codes, labels = self._codes(model.embed, model.device)
        if len(codes) < 2 or codes.shape[1] < 2:
            return None
        title = f"Codes of {len(codes):,} images"
        if codes.shape[1] == 2:
            return latent_scatter(codes, labels, title, ("$z_1$", "$z_2$"))
        plane, share = principal_plane(codes)
        title += f": first 2 of {codes.shape[1]} principal components, {share.sum():.0%} of the variance"
        names = (f"component 1 ({share[0]:.0%})", f"component 2 ({share[1]:.0%})")
        return latent_scatter(plane, labels, title, names)

    def _codes(self, embed: Callable[[Tensor], Tensor], device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Finite codes (N, D) of the remembered images, and their labels (N,); on the CPU."""
        codes = torch.cat([embed(image.to(device)).float().cpu() for image in self._examples.batches()])
        labels = self._examples.labels()
        finite = codes.isfinite().all(dim=1)
        keep = finite.nonzero().squeeze(1)[: self.scatter_points]
        return codes[keep], None if labels is None else labels[keep]


class _Examples:
    """The first images of a pass over the data, as uint8 on the host."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.complete = False
        self.begin()

    def begin(self) -> None:
        if not self.complete:
            self.count = 0
            self._image: list[Tensor] = []
            self._index: list[Tensor] = []
            self._label: list[Tensor] = []

    def add(self, batch: Any) -> None:
        image: Tensor | None = getattr(batch, "image", None)
        room = self.capacity - self.count
        if self.complete or room <= 0 or image is None:
            return
        self._image.append((image[:room] * 255).round().to("cpu", torch.uint8))
        self._index.append(batch.index[:room].cpu())
        if hasattr(batch, "label"):
            self._label.append(batch.label[:room].cpu())
        self.count += len(self._image[-1])

    def batches(self) -> Iterator[Tensor]:
        """The images in the batches they came in, float32 in [0, 1]."""
        for image in self._image:
            yield image.float() / 255

    def first(self, n: int) -> tuple[Tensor, Tensor]:
        """Images, float32 in [0, 1], and indices of the first ``n`` examples."""
        return torch.cat(list(self._image))[:n].float() / 255, torch.cat(self._index)[:n]

    def labels(self) -> Tensor | None:
        return torch.cat(self._label) if self._label else None


def publish(trainer: Trainer, name: str, figure: Figure) -> Path:
    """Writes a figure to the run's ``media/`` folder and sends it to Weights & Biases, where that is a logger.

    Args:
        trainer: the run.
        name: file name without its ending; the key in Weights & Biases is ``media/<name>``.
        figure: what to write.

    Returns:
        The path of the PNG.
    """
    path = Path(trainer.default_root_dir) / "media" / f"{name}.png"
    save_png(figure, path)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            step = _batches_seen(trainer) if trainer.state.fn == TrainerFn.FITTING else None
            logger.log_image(f"media/{name}", [str(path)], step=step)
    return path


@contextmanager
def _undisturbed(model: LightningModule) -> Iterator[None]:
    """Eval mode, no gradients, and a fixed seed inside; everything as it was outside.

    Inference mode is left, because a model whose sampler follows gradients could not work in it.
    """
    modes = [(module, module.training) for module in model.modules()]
    on_cuda = model.device.type == "cuda"
    with (
        isolate_rng(include_cuda=False),
        torch.random.fork_rng([model.device] if on_cuda else []),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        torch.default_generator.manual_seed(SEED)
        if on_cuda:
            torch.cuda.manual_seed(SEED)
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def _batches_seen(trainer: Trainer) -> int:
    """Training batches so far; ``global_step`` would count each optimizer."""
    return trainer.fit_loop.epoch_loop.total_batch_idx + 1


def _columns(n: int) -> int:
    """Columns of the grid of n images that is square, or a little wider than high."""
    return next(columns for columns in range(1, n + 1) if columns * columns >= n)
