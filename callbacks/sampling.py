"""The command `sample`: new examples from a trained generative model, as arrays and as a picture."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.checkpoint_file import read_checkpoint
from callbacks.drawing import sample_panel, save_png
from callbacks.pictures import columns_of
from callbacks.point_drawing import sample_scatter
from callbacks.predictions import save_arrays
from callbacks.protocols import Conditional, Generative
from callbacks.undisturbed import undisturbed
from metrics import KnownModes

_CHUNK = 500  # samples drawn at once, which bounds the memory; conditional models begin anew with the first class
_SHOWN = 400  # images that a picture has at most


class Sampler(Callback):
    """Draws samples and writes ``samples.npz`` and a picture of them.

    Args:
        seed: of the noise: the same seed and number give the same samples.

    Attributes:
        paths: the files, once they are written.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.paths: list[Path] = []

    def run(
        self, trainer: Trainer, model: LightningModule, data: Any, n: int, label: int | None, folder: str | None
    ) -> None:
        """Draw on the trainer's device and in its precision, and write in the process of rank zero.

        Args:
            trainer: whose device and precision are used.
            model: with its trained weights.
            data: the DataModule, of which nothing is loaded.
            n: number of samples.
            label: the class of all, or None for no choice.
            folder: where to write; the run's folder if None, and its ``media/`` for the picture.

        Raises:
            ValueError: if the model cannot sample, or not so many or not of that class.
        """
        if not isinstance(model, Generative):
            raise ValueError(
                f"model: {type(model).__name__} cannot sample, it is no generative model: give the --run.id of one, "
                "such as VAE"
            )
        if n < 1:
            raise ValueError(f"n is {n}: choose 1 or more")
        if folder is not None and Path(folder).exists() and not Path(folder).is_dir():
            raise ValueError(f"out is {folder!r}, which is no folder: choose another")
        if not trainer.is_global_zero:
            return
        trainer.precision_plugin.convert_module(model)
        model.to(trainer.strategy.root_device)
        with undisturbed(model, self.seed), trainer.precision_plugin.forward_context():
            arrays = self._draw(model, n, label)
        root = Path(folder or trainer.default_root_dir)
        save_arrays(root / "samples.npz", {name: values.numpy() for name, values in arrays.items()})
        name = f"samples_{n}" + ("" if label is None else f"_label_{label}")
        picture = (root if folder else root / "media") / f"{name}.png"
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


def load_weights(model: LightningModule, path: str) -> None:
    """Give a model the weights of a checkpoint, as the Trainer does it for an evaluation."""
    saved = read_checkpoint(path)
    model.on_load_checkpoint(saved)
    model.load_state_dict(saved["state_dict"], strict=model.strict_loading)


def _figure(samples: Tensor, data: Any) -> Figure | None:
    if samples.ndim == 4:
        shown = samples[:_SHOWN]
        return sample_panel(shown, columns_of(len(shown)))
    if samples.ndim == 2 and samples.shape[1] == 2:
        modes = (data.modes, data.mode_std) if isinstance(data, KnownModes) else None
        return sample_scatter(samples, None, modes, f"{len(samples):,} samples")
    return None
