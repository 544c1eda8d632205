"""Pictures of what a model does: reconstructions, samples, ways between them, latent traversals, a map of its codes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import (
    interpolation_panel,
    latent_scatter,
    principal_plane,
    reconstruction_panel,
    sample_panel,
    traversal_panel,
)
from callbacks.examples import Examples
from callbacks.filter_drawing import filter_panel
from callbacks.point_drawing import sample_scatter
from callbacks.protocols import (
    TARGET,
    Adapting,
    Conditional,
    Corrupting,
    Decoding,
    Embedding,
    Filtered,
    Generative,
    LatentGenerative,
    Reconstructive,
)
from callbacks.publishing import DrawingCallback, batches_seen, forget_later_frames, publish_frame
from callbacks.undisturbed import undisturbed
from metrics import KnownModes

SEED = 0  # of the draws behind every picture, so that pictures of one run show the same noise
PATHS, STEPS = 8, 10  # between samples, and images on each
SWEEP = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


class Pictures(DrawingCallback):
    """Draws whatever the model's methods allow, into the run's ``media/`` folder and to Weights & Biases.

    - ``reconstructions.png`` if it is ``Reconstructive``: input, what ``Corrupting`` made of it, reconstruction
    - ``samples.png`` if it is ``Generative``: new images, or new points over those of the data
    - ``samples.gif``: what became of ``samples.png`` in the course of training, the noise being the same
    - ``interpolation.png`` if it is ``LatentGenerative``: images on the way between codes of the prior
    - ``traversal.png`` if it is ``Embedding`` and ``Decoding``: the mean code, swept along single dimensions
    - ``latents.png`` if it is ``Embedding``, into two or more dimensions: codes in the plane, coloured by class
    - ``filters.png`` if it is ``Filtered``: the weights of the first units, in training only as data do not change them

    It draws after the validation that completes every so many epochs, when training ends, and after a validation or
    test of its own; pictures of test data are named ``test_*.png``. A new picture replaces the one before. Only the
    process of rank zero draws, from its own share of the data, and nothing here waits for another process. Batches
    whose ``x`` is neither images nor points in the plane, and runs without validation, get no pictures; of points,
    only samples are drawn. Of several loaders the first is drawn, and of an ``Adapting`` model the target's, which its
    methods are for; the codes of its two domains are left to ``DomainPictures``.

    Drawing leaves no trace in training: the modes of all modules and the states of all random number generators are
    put back, and every draw begins at the same seed, so that pictures of different epochs can be compared.

    Args:
        every_n_epochs: epochs between pictures during training.
        n_images: examples in the panel of reconstructions.
        n_samples: new images in the panel of samples.
        traversal_dims: dimensions to sweep, those in which the codes vary most.
        scatter_points: most examples whose codes are drawn, kept in memory as uint8; also samples drawn as points.
        n_filters: units in the panel of filters. They are the first ones, which show the dead among them, and are the
            same in every picture.

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
        n_filters: int = 100,
    ) -> None:
        sizes = {
            "every_n_epochs": every_n_epochs,
            "n_images": n_images,
            "n_samples": n_samples,
            "traversal_dims": traversal_dims,
            "scatter_points": scatter_points,
            "n_filters": n_filters,
        }
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}: choose 1 or more")
        super().__init__()
        self.every_n_epochs = every_n_epochs
        self.n_images = n_images
        self.n_samples = n_samples
        self.traversal_dims = traversal_dims
        self.scatter_points = scatter_points
        self.n_filters = n_filters
        self._examples = Examples(max(n_images, scatter_points), scatter_points)
        self._periods = 0
        self._drawn_at = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets the examples of a run before this one."""
        wanted = self.scatter_points if isinstance(pl_module, Embedding) else 0
        self._examples = Examples(max(self.n_images, wanted), self.scatter_points)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts epochs from where training starts, or continues, and drops the frames that lie behind."""
        self._periods = trainer.current_epoch // self.every_n_epochs
        self._drawn_at = -1
        if trainer.is_global_zero:
            forget_later_frames(trainer)

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
        """Remembers the first examples of one loader."""
        drawn = TARGET if isinstance(pl_module, Adapting) else 0
        if trainer.is_global_zero and not trainer.sanity_checking and dataloader_idx == drawn:
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
        if batches_seen(trainer) != self._drawn_at:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, model: LightningModule, prefix: str = "") -> None:
        if not trainer.is_global_zero or self._examples.count == 0:
            return
        self._drawn_at = batches_seen(trainer)
        for name, draw in self._drawings(trainer).items():
            with undisturbed(model, SEED):
                figure = draw(model)
            if figure is None:
                continue
            path = self._publish(trainer, prefix + name, figure)
            if name == "samples" and trainer.state.fn == TrainerFn.FITTING:
                self._note(publish_frame(trainer, path))

    def _drawings(self, trainer: Trainer) -> dict[str, Callable[[Any], Figure | None]]:
        if self._examples.are_points:
            return {"samples": partial(self._points, trainer)}
        return {
            "reconstructions": self._reconstructions,
            "samples": self._samples,
            "interpolation": self._interpolation,
            "traversal": self._traversal,
            "latents": self._latents,
            **({"filters": self._filters} if trainer.state.fn == TrainerFn.FITTING else {}),
        }

    def _reconstructions(self, model: LightningModule) -> Figure | None:
        if not isinstance(model, Reconstructive):
            return None
        image, index = (part.to(model.device) for part in self._examples.first(self.n_images))
        if not isinstance(model, Corrupting):
            return reconstruction_panel({"input": image, "reconstruction": model.reconstruct(image)})
        corrupted = model.corrupt(image, index)
        return reconstruction_panel(
            {"input": image, "corrupted input": corrupted, "reconstruction": model.reconstruct(corrupted)}
        )

    def _samples(self, model: LightningModule) -> Figure | None:
        if not isinstance(model, Generative):
            return None
        return sample_panel(model.sample(self.n_samples), columns=columns_of(self.n_samples))

    def _points(self, trainer: Trainer, model: LightningModule) -> Figure | None:
        if not isinstance(model, Generative):
            return None
        samples = model.sample(self.scatter_points).float().cpu()
        data = getattr(trainer, "datamodule", None)
        modes = (data.modes, data.mode_std) if isinstance(data, KnownModes) else None
        title = f"{len(samples):,} samples"
        if trainer.state.fn == TrainerFn.FITTING:
            title += f" after {batches_seen(trainer):,} training batches"
        return sample_scatter(samples, self._examples.first(self.scatter_points)[0], modes, title)

    def _interpolation(self, model: LightningModule) -> Figure | None:
        if not isinstance(model, LatentGenerative):
            return None
        start, end = model.prior(PATHS), model.prior(PATHS)
        z = torch.stack([slerp(start, end, step / (STEPS - 1)) for step in range(STEPS)], dim=1)  # (P, S, D)
        classes = model.labels_of(PATHS, None) if isinstance(model, Conditional) else None
        told = () if classes is None else (classes.repeat_interleave(STEPS),)  # each way stays in one class
        images = model.decode(z.flatten(0, 1), *told).float()
        return interpolation_panel(images.view(PATHS, STEPS, *images.shape[1:]))

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
        if not isinstance(model, Embedding) or isinstance(model, Adapting):
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

    def _filters(self, model: LightningModule) -> Figure | None:
        if not isinstance(model, Filtered):
            return None
        filters = model.filters()[: self.n_filters]
        return filter_panel(filters, columns_of(len(filters)))

    def _codes(self, embed: Callable[[Tensor], Tensor], device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Finite codes (N, D) of the remembered images, and their labels (N,); on the CPU."""
        codes = torch.cat([embed(image.to(device)).float().cpu() for image in self._examples.batches()])
        labels = self._examples.labels()
        finite = codes.isfinite().all(dim=1)
        keep = finite.nonzero().squeeze(1)[: self.scatter_points]
        return codes[keep], None if labels is None else labels[keep]


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Goes part of the way from codes to others along a great circle.

    Codes from a Gaussian in D dimensions have norms near sqrt(D). The straight line between two of them leads through
    smaller norms, which a decoder never sees in training; the circle keeps to the norms of its ends.

    Source: White, "Sampling Generative Networks" (2016).

    Args:
        start: (N, D).
        end: (N, D).
        share: of the way, in [0, 1].

    Returns:
        (N, D); on the straight line where the two point in the same or in opposite directions.
    """
    angle = torch.cosine_similarity(start, end, dim=1).clamp(-1, 1).acos().unsqueeze(1)
    sine = angle.sin()
    round_way = (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / sine
    return torch.where(sine > 1e-3, round_way, (1 - share) * start + share * end)


def columns_of(n: int) -> int:
    """Columns of the grid of n images that is square, or a little wider than high."""
    return next(columns for columns in range(1, n + 1) if columns * columns >= n)
