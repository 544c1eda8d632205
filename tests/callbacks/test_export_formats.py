"""Every technique in every format, run by nothing but the file."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import Tensor
from untrained import EXPORTED, untrained

from callbacks.export_formats import FORMATS
from callbacks.exporting import export
from callbacks.forward_path import ForwardPath

STEPWISE = ("recurrent language model", "recurrent seq2seq")  # what torch.export writes down for one length only
LENGTHY = ("seq2seq",)  # what it takes six seconds for, and is made of the layers of the language model
# compute what the technique does that they derive from, or the same on points: one format is enough
ALIKE = ("cdan", "dan", "deep_coral", "drcn", "dsn", "source_only", "target_only", "adaptation of points")
ALIKE += ("sparse_autoencoder", "denoising_autoencoder", "iwae", "dbn", "gan of points")
SIZES = {"one": (1, -2), "more and longer": (4, 9)}  # batch, and by how much sequences are longer than at the export
ALONE = """
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

project = {"callbacks", "cli", "datamodules", "lightning", "lit_models", "metrics", "networks", "objectives"}
for line in sys.stdin:
    folder = Path(line.strip())
    models = {"torchscript": torch.jit.load(folder / "model.pt")}
    if (folder / "model.pt2").exists():
        models["torch_export"] = torch.export.load(folder / "model.pt2").module()
    for given in folder.glob("*.npz"):
        batches = np.load(given)
        inputs = [torch.from_numpy(batches[name]) for name in batches.files]
        for name, model in models.items():
            np.save(folder / f"{given.stem}.{name}.npy", model(*inputs).numpy())
    print("imported:", *sorted(project & set(sys.modules)), flush=True)
"""


@pytest.fixture(scope="module")
def alone() -> Iterator[subprocess.Popen[str]]:
    """A process without the project that runs the files of folders whose names it is sent."""
    command = [sys.executable, "-I", "-W", "ignore", "-c", ALONE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0


def run_alone(process: subprocess.Popen[str], folder: Path, batches: dict[str, list[Tensor]]) -> dict[str, list[Any]]:
    """What the files in a folder give for batches, by format."""
    for size, inputs in batches.items():
        np.savez(folder / f"{size}.npz", *(values.numpy() for values in inputs))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{folder}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "imported:\n"
    formats = ("torchscript", "torch_export")
    found = {name: [folder / f"{size}.{name}.npy" for size in batches] for name in formats}
    return {name: [np.load(file) for file in files] for name, files in found.items() if files[0].exists()}


@pytest.mark.parametrize("name", EXPORTED)
def test_every_technique_computes_the_same_outside_of_the_project(
    name: str, alone: subprocess.Popen[str], tmp_path: Path
) -> None:
    model, _ = untrained(EXPORTED[name], tmp_path)
    path = ForwardPath(model, model.interface())
    batches = {size: path.examples(*numbers, seed=7) for size, numbers in SIZES.items()}
    formats = {"torchscript"} if name in ALIKE else {"torchscript", "torch_export", "onnx"}
    formats -= {"torch_export"} if name in (*STEPWISE, *LENGTHY) else set()
    for format in formats:
        export(path, format, {}, tmp_path / f"model{FORMATS[format].suffix}")
    computed = run_alone(alone, tmp_path, batches)
    if "onnx" in formats:
        computed["onnx"] = run_onnx(tmp_path / "model.onnx", path, batches)
    assert computed.keys() == formats
    for outputs in computed.values():
        for inputs, output in zip(batches.values(), outputs, strict=True):
            np.testing.assert_allclose(output, model(*inputs).numpy(), atol=1e-4, rtol=1e-4)


def run_onnx(file: Path, path: ForwardPath, batches: dict[str, list[Tensor]]) -> list[Any]:
    """What onnxruntime makes of a file whose inputs and output are those that the model declares."""
    session, declared = onnxruntime.InferenceSession(file), path.interface
    names = [one.name for one in declared.inputs]
    assert [(given.name, given.shape) for given in session.get_inputs()] == [
        (one.name, ["batch", *one.shape]) for one in declared.inputs
    ]
    (output,) = session.get_outputs()
    assert (output.name, output.shape) == (declared.output, list(path.output_shape()))
    given = [{name: values.numpy() for name, values in zip(names, one, strict=True)} for one in batches.values()]
    return [session.run(None, inputs)[0] for inputs in given]


@pytest.mark.parametrize("name", ["conditional gan", "language_model", "stacked"])
def test_safetensors_hold_what_forward_needs_and_no_more(name: str, tmp_path: Path) -> None:
    model, _ = untrained(EXPORTED[name], tmp_path)
    other, _ = untrained(EXPORTED[name], tmp_path, "--seed_everything=1")
    path = ForwardPath(model, model.interface())
    inputs = path.examples(seed=7)
    expected = model(*inputs).clone()
    assert not torch.allclose(other(*inputs), expected, atol=1e-4)
    export(path, "safetensors", {}, tmp_path / "model.safetensors")
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert weights.keys() < model.state_dict().keys()
    assert not other.load_state_dict(weights, strict=False).unexpected_keys
    assert torch.equal(other(*inputs), expected)
