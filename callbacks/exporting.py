"""The command `export`: a trained model as a file that other programs read."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.export_check import TOLERANCE, Probe, deviation, probes
from callbacks.export_formats import FORMATS, ExportFormat
from callbacks.export_metadata import metadata_of
from callbacks.forward_path import ForwardPath
from callbacks.protocols import Exportable
from callbacks.undisturbed import undisturbed
from callbacks.whole_file import whole_file


class Exporter(Callback):
    """Writes the ``forward`` of an ``Exportable`` model to a file, and runs the file to compare it with the model.

    Args:
        seed: of the random numbers, which no ``forward`` draws.

    Attributes:
        paths: the file, once it is written.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.paths: list[Path] = []

    def run(
        self,
        trainer: Trainer,
        model: LightningModule,
        data: Any,
        format: str,  # the name of the flag
        out: str | None = None,
        length: int | None = None,
        checkpoint: str | None = None,
    ) -> None:
        """Write the file in the process of rank zero, with weights in float32 on the CPU.

        Args:
            trainer: whose run it is.
            model: with its trained weights.
            data: the DataModule, for the names of classes and the tokenizer; no more of it is loaded.
            format: a key of `FORMATS`.
            out: the file; ``model`` with the suffix of the format in the run's folder if None.
            length: of all sequences, for a file that takes no others; any length if None.
            checkpoint: where the weights are from, to be told in the file.

        Raises:
            ValueError: if the model does not say what it takes, the format cannot express it, or needs what is not
                installed, or the file cannot be written there.
        """
        chosen = FORMATS[format]
        file = Path(out or Path(trainer.default_root_dir) / f"model{chosen.suffix}")
        if file.is_dir():
            raise ValueError(f"out is {out!r}, which is a folder: give the name of a file")
        if not isinstance(model, Exportable):
            raise ValueError(
                f"model: {type(model).__name__} does not say what its forward takes: give it a method interface(), "
                "as lit_models/classifier.py has one"
            )
        interface = model.interface() if length is None else model.interface().with_length(length)
        if not trainer.is_global_zero:
            return
        model.to("cpu", torch.float32)
        with undisturbed(model, self.seed):
            path = ForwardPath(model, interface)
            metadata = metadata_of(type(model).__name__, path, data)
            metadata |= {"run": Path(trainer.default_root_dir).name, "checkpoint": Path(checkpoint or "").name}
            found = export(path, format, metadata, file)
        if found is None:
            print(f"{file.name} was not run, because onnxruntime is not installed")
        else:
            print(f"{file.name} was run, and differs from the model by at most {found:.1g}")
        self.paths = [file]


def export(path: ForwardPath, format: str, metadata: Mapping[str, Any], file: Path) -> float | None:
    """Write a model to a file, read the file, and compare what it gives with what the model gives.

    Args:
        path: what is exported.
        format: a key of `FORMATS`.
        metadata: what the file tells of itself.
        file: that is written or replaced; it is left as it was if the model cannot be expressed.

    Returns:
        The largest difference, as `deviation` has it; None if what runs such files is not installed.

    Raises:
        ValueError: if the format cannot express the model, or needs a package that is not installed.
    """
    chosen = FORMATS[format]
    if missing := [package for package in chosen.needs if find_spec(package) is None]:
        raise ValueError(
            f"format is {format!r}, which needs {' and '.join(missing)}: pip install 'espalier[export]', or choose "
            f"{_any_of(name for name in FORMATS if not FORMATS[name].needs)}"
        )
    if chosen.limits(path):
        able = _any_of(name for name in FORMATS if not FORMATS[name].limits(path))
        raise ValueError(
            f"format is {format!r}, which writes the steps of a recurrent network down one by one: fix their number "
            f"by --length, or choose {able}"
        )
    made = probes(path)
    try:
        return _write(chosen, path, metadata, file, made)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        others = [name for name in FORMATS if name != format and _expresses(FORMATS[name], path, made)]
        raise ValueError(
            f"format is {format!r}, which cannot express this model ({reason}): choose {_any_of(others)}"
        ) from error


def _write(
    chosen: ExportFormat,
    path: ForwardPath,
    metadata: Mapping[str, Any],
    file: Path,
    made: Sequence[Probe],
) -> float | None:
    """Write and check.

    Raises:
        RuntimeError: if the format cannot express the model.
    """
    with whole_file(file) as unfinished:
        unfinished.write_bytes(chosen.encode(path, metadata))
        read = chosen.reader(unfinished, path)
        if read is None:
            return None
        found = deviation(read, made)
        if not found <= TOLERANCE:  # nor NaN
            raise RuntimeError(f"what it computes differs by {found:.1g}")
    return found


def _expresses(other: ExportFormat, path: ForwardPath, made: Sequence[Probe]) -> bool:
    """Whether another format can be written here, and expresses the model; nothing is kept."""
    if other.limits(path) or any(find_spec(package) is None for package in other.needs):
        return False
    with TemporaryDirectory() as folder:
        try:
            _write(other, path, {}, Path(folder) / f"tried{other.suffix}", made)
        except RuntimeError:
            return False
    return True


def _any_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
