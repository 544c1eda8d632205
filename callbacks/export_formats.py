"""The formats that a model can be exported to: how each is written, and read again without this project's code."""

import io
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import safetensors.torch
import torch
from torch import Tensor, nn

from callbacks.forward_path import ForwardPath
from networks import Interface

Reader = Callable[[Sequence[Tensor]], Tensor]
METADATA_FILE = "metadata.json"
"""Name of what the files of PyTorch's own formats hold beside the model."""


class ExportFormat(ABC):
    """A format of files.

    Attributes:
        suffix: of the files.
        needs: packages that write it, besides those that the project always has.
        unrolled: modules that go through a sequence step by step, in a way that the format writes down for one length
            only.
    """

    suffix: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    unrolled: ClassVar[tuple[type[nn.Module], ...]] = ()

    @abstractmethod
    def encode(self, path: ForwardPath, metadata: Mapping[str, Any]) -> bytes:
        """The content of the file.

        Args:
            path: what is exported.
            metadata: what the file tells of itself, by name; plain values.

        Raises:
            RuntimeError: if the format cannot express the model.
        """

    @abstractmethod
    def reader(self, file: Path, path: ForwardPath) -> Reader | None:
        """What runs the file, by nothing but the file where the format has the computation in it.

        Args:
            file: that was written.
            path: that it was written from.

        Returns:
            A function from inputs to the output; None if what it needs is not installed.
        """

    def limits(self, path: ForwardPath) -> bool:
        """Whether the format needs one fixed length where this model takes any."""
        return bool(path.interface.axes) and any(isinstance(part, self.unrolled) for part in path.modules())


class Onnx(ExportFormat):
    """ONNX, which runtimes of many languages and devices run.

    PyTorch's exporter by `torch.export` writes a recurrent layer down step by step. So such a model is traced by the
    exporter before it, which has an operator for the whole layer.
    """

    suffix = ".onnx"
    needs = ("onnx", "onnxscript")
    unrolled = (nn.RNNCellBase,)

    def encode(self, path: ForwardPath, metadata: Mapping[str, Any]) -> bytes:
        """See `ExportFormat`; the metadata become `metadata_props`."""
        import onnx

        inputs, output = path.interface.inputs, path.interface.output
        names = {"input_names": [one.name for one in inputs], "output_names": [output]}
        axes, examples = _axes(path.interface), tuple(path.examples())
        with _quiet():
            if any(isinstance(part, nn.RNNBase) for part in path.modules()):
                free = {one.name: named for one, named in zip(inputs, axes, strict=True)}
                free[output] = {place: size for place, size in enumerate(path.output_shape()) if isinstance(size, str)}
                file = io.BytesIO()
                torch.onnx.export(path, examples, file, dynamo=False, dynamic_axes=free, **names)  # type: ignore[arg-type]
                model = onnx.load_from_string(file.getvalue())
            else:
                shapes = (tuple(axes),)  # of `forward(*inputs)`
                program = torch.onnx.export(path, examples, dynamic_shapes=shapes, verbose=False, **names)  # type: ignore[arg-type]
                assert program is not None
                model = program.model_proto
        onnx.helper.set_model_props(model, _as_texts(metadata))
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content

    def reader(self, file: Path, path: ForwardPath) -> Reader | None:
        """See `ExportFormat`; by onnxruntime.

        Raises:
            RuntimeError: if onnxruntime cannot run the file.
        """
        if find_spec("onnxruntime") is None:
            return None
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors: it warns of names of lengths that differ
        try:
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except (state.Fail, state.InvalidGraph, state.NotImplemented) as error:
            raise RuntimeError(f"onnxruntime cannot run it: {error}") from error
        names = [one.name for one in session.get_inputs()]

        def read(inputs: Sequence[Tensor]) -> Tensor:
            given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
            return torch.from_numpy(session.run(None, given)[0])

        return read


class TorchScript(ExportFormat):
    """TorchScript, by tracing: runs in C++ and in Python, on any device. PyTorch calls the format deprecated."""

    suffix = ".pt"
    unrolled = (nn.RNNCellBase,)

    def encode(self, path: ForwardPath, metadata: Mapping[str, Any]) -> bytes:
        """See `ExportFormat`."""
        file = io.BytesIO()
        with _quiet(), torch.no_grad():
            traced = torch.jit.trace(path, tuple(path.examples()), check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, file, _extra_files={METADATA_FILE: _as_json(metadata)})
        return file.getvalue()

    def reader(self, file: Path, path: ForwardPath) -> Reader:
        """See `ExportFormat`."""
        with _quiet():
            module = torch.jit.load(str(file))  # type: ignore[no-untyped-call]
        return lambda inputs: module(*inputs)


class TorchExport(ExportFormat):
    """The programs of `torch.export`, for PyTorch in Python, its compiler, and ExecuTorch."""

    suffix = ".pt2"
    unrolled = (nn.RNNBase, nn.RNNCellBase)

    def encode(self, path: ForwardPath, metadata: Mapping[str, Any]) -> bytes:
        """See `ExportFormat`."""
        file = io.BytesIO()
        shapes = tuple(dict.fromkeys(free, torch.export.Dim.DYNAMIC) for free in _axes(path.interface))
        with _quiet(), torch.no_grad():
            program = torch.export.export(path, tuple(path.examples()), dynamic_shapes=(shapes,), strict=False)
            torch.export.save(program, file, extra_files={METADATA_FILE: _as_json(metadata)})
        return file.getvalue()

    def reader(self, file: Path, path: ForwardPath) -> Reader:
        """See `ExportFormat`."""
        with _quiet(), file.open("rb") as content:
            module = torch.export.load(content).module()
        return lambda inputs: module(*inputs)


class Safetensors(ExportFormat):
    """The weights alone, by name, for programs that know the computation."""

    suffix = ".safetensors"

    def encode(self, path: ForwardPath, metadata: Mapping[str, Any]) -> bytes:
        """See `ExportFormat`; a matrix with several names, as a tied embedding has, is there by each."""
        weights = {name: value.detach().clone().contiguous() for name, value in path.state_dict().items()}
        return safetensors.torch.save(weights, _as_texts(metadata))

    def reader(self, file: Path, path: ForwardPath) -> Reader:
        """See `ExportFormat`: the computation is the model's, with each of its weights replaced by that of the file."""
        with torch.no_grad():
            for value in path.state_dict().values():
                value.fill_(torch.nan if value.is_floating_point() else 0)
        path.load_state_dict(safetensors.torch.load_file(file))
        return lambda inputs: path(*inputs)


FORMATS: dict[str, ExportFormat] = {
    "onnx": Onnx(),
    "torchscript": TorchScript(),
    "torch_export": TorchExport(),
    "safetensors": Safetensors(),
}
"""By the name that the command takes."""


def _axes(interface: Interface) -> list[dict[int, str]]:
    """The axes of each input that may have any length, with their names; the first is the batch."""
    return [
        {0: "batch"} | {place: size for place, size in enumerate(one.shape, start=1) if isinstance(size, str)}
        for one in interface.inputs
    ]


def _as_json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, indent=2)


def _as_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """For formats in which metadata are texts: what is none becomes JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's warnings of old formats and of values that a trace may fix: what it fixed, the check finds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
