"""Writes what a model predicts to a file of its kind."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from numpy.typing import NDArray
from torch import Tensor

from callbacks.run_record import write_text
from callbacks.text_lines import in_one_line
from callbacks.whole_file import whole_file

Arrays = dict[str, NDArray[Any]]
FILES = {  # by what is predicted
    "latent": "latents.npz",
    "sample": "samples.npz",
    "nll": "scores.npz",
    "hypothesis": "translations.txt",
}


class PredictionWriter(BasePredictionWriter):
    """Writes the predictions of all processes into the run's folder: arrays, or a line of text for each example.

    It takes predictions that are dictionaries with a key of ``FILES``, which says where they go, and ``index`` (B,),
    the position of each example in the data: ``latent`` (B, D), ``sample`` (B, ...), ``nll`` (B,), or ``hypothesis``, a
    list of B texts. They may hold ``label`` (B,) where classes are known, and what else a model has to tell of each
    example, as tensors. A file of arrays has the same keys but for texts, with one row for each example, sorted by
    ``index``: ``numpy.load("latents.npz")["latent"]`` is (N, D). A text file has the lines in this order. Predictions
    of any other kind are left alone.

    Attributes:
        paths: the files, once they are written, in the process of rank zero.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="epoch")
        self.paths: list[Path] = []

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        """Gathers what every process predicted and writes it in that of rank zero.

        Raises:
            ValueError: if predictions come from several dataloaders, whose indices would be confused.
        """
        if trainer.predict_loop.num_dataloaders > 1:
            raise ValueError(
                f"one file holds the predictions of one dataset, but predict was given"
                f" {trainer.predict_loop.num_dataloaders} dataloaders: predict them one at a time"
            )
        known = [batch for batch in predictions if isinstance(batch, Mapping) and "index" in batch]
        taken = [batch for batch in known if FILES.keys() & set(batch)]
        parts = gather_parts(stack(taken), trainer)
        merged = merge_parts(parts)
        if trainer.is_global_zero:
            files = {name: Path(trainer.default_root_dir) / file for name, file in FILES.items() if name in merged}
            for name, path in files.items():
                if path.suffix == ".txt":
                    write_text(path, "".join(f"{in_one_line(text)}\n" for text in merged[name]))
                else:
                    save_arrays(path, {key: values for key, values in merged.items() if values.dtype != object})
            self.paths = list(files.values())


def merge_parts(parts: Sequence[Arrays]) -> Arrays:
    """Joins what the processes predicted.

    Args:
        parts: one dictionary of arrays for each process; empty where a process had no data. All others have the same
            keys, ``index`` among them, and as many rows in each array.

    Returns:
        The same keys, sorted by ``index``; an example that several processes saw, as happens where a sampler fills up
        the last batch, is there once. Empty if all parts are.
    """
    parts = [part for part in parts if part]
    if not parts:
        return {}
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    _, first = np.unique(joined["index"], return_index=True)
    return {key: values[first] for key, values in joined.items()}


def stack(batches: Sequence[Mapping[str, Tensor | list[str]]]) -> Arrays:
    """Joins the rows of batches that have the same keys; texts become objects. Empty without batches."""
    return {key: np.concatenate([_array(batch[key]) for batch in batches]) for key in (batches[0] if batches else ())}


def _array(values: Tensor | list[str]) -> NDArray[Any]:
    if isinstance(values, list):
        return np.array(values, dtype=object)
    values = values.detach().cpu()
    array: NDArray[Any] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # which NumPy lacks
    return array


def gather_parts(part: Arrays, trainer: Trainer) -> list[Arrays]:
    """Gives the parts of all processes in that of rank zero, nothing in the others."""
    if trainer.world_size == 1:
        return [part]
    parts: list[Arrays] | None = [{} for _ in range(trainer.world_size)] if trainer.is_global_zero else None
    torch.distributed.gather_object(part, parts, dst=0)
    return parts or []


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays so that ``path``, an ``.npz``, holds the old ones or the new, never a part."""
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load_arrays(path: Path) -> Arrays:
    """Read what ``save_arrays`` wrote; empty if there is no such file."""
    if not path.exists():
        return {}
    with np.load(path) as file:
        return dict(file)
