"""The command `sample` of images and points: new examples from a trained model, as arrays and as a picture."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing import sample_panel, save_png
from callbacks.pictures import columns_of
from callbacks.point_drawing import sample_scatter
from callbacks.predictions import save_arrays
from callbacks.protocols import Conditional, Generative
from callbacks.sample_command import SampleCommand, folder_to_write
from metrics import KnownModes

_CHUNK = 500  # samples drawn at once, which bounds the memory; conditional models begin anew with the first class
_SHOWN = 400  # images that a picture has at most


class Sampler(SampleCommand):
    """Draws samples of a ``Generative`` model and writes ``samples.npz`` and a picture of them."""

    makes = "draws images or points"
    protocol = Generative

    def run(
        self,
        trainer: Trainer,
        model: LightningModule,
        data: Any,
        n: int = 64,
        label: int | None = None,
        out: str | None = None,
    ) -> None:
        """Draw on the trainer's device and in its precision, and write in the process of rank zero.

        Args:
            trainer: whose device and precision are used.
            model: with its trained weights.
            data: the DataModule, of which nothing is loaded.
            n: number of samples.
            label: the class of all, or None for no choice.
            out: where to write; the run's folder if None, and its ``media/`` for the picture.

        Raises:
            ValueError: if the model cannot sample so many or not of that class.
        """
        if n < 1:
            raise ValueError(f"n is {n}: choose 1 or more")
        root = folder_to_write(trainer, out)
        if not trainer.is_global_zero:
            return
        with self.prepared(trainer, model):
            arrays = self._draw(model, n, label)
        save_arrays(root / "samples.npz", {name: values.numpy() for name, values in arrays.items()})
        name = f"samples_{n}" + ("" if label is None else f"_label_{label}")
        picture = (root if out else root / "media") / f"{name}.png"
        self.paths = [root / "samples.npz"]
        if (figure := _figure(arrays["sample"], data)) is not None:
            save_png(figure, picture)
            self.paths.append(picture)

    def _draw(self, model: Any, n: int, label: int | None) -> dict[str, Tensor]:
        """All samples, float32, and their classes, int64, where there are any; on the CPU."""
        samples, labels = [], []
        for start in range(0, n, _CHUNK):
            size = min(_CHUNK, n - start)
            sample = model.sample(size, label).float().cpu()
            samples.append(sample.clamp(0, 1) if sample.ndim == 4 else sample)
            known = model.labels_of(size, label) if isinstance(model, Conditional) else None
            if known is not None:
                labels.append(known.cpu())
        return {"sample": torch.cat(samples), **({"label": torch.cat(labels)} if labels else {})}


def _figure(samples: Tensor, data: Any) -> Figure | None:
    if samples.ndim == 4:
        shown = samples[:_SHOWN]
        return sample_panel(shown, columns_of(len(shown)))
    if samples.ndim == 2 and samples.shape[1] == 2:
        modes = (data.modes, data.mode_std) if isinstance(data, KnownModes) else None
        return sample_scatter(samples, None, modes, f"{len(samples):,} samples")
    return None
