"""What the command `export` does with models that some format cannot express."""

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import safetensors
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from callbacks.export_formats import FORMATS
from callbacks.exporting import Exporter, export
from callbacks.forward_path import ForwardPath
from networks import Interface, data_input, token_input


class Model(LightningModule):
    """Scales points by a weight; has parts that its forward does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.spare = nn.Linear(3, 3)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, point: Tensor) -> Tensor:
        scaled: Tensor = self.layer(point) * self.scale
        return scaled

    def interface(self) -> Interface:
        return Interface((data_input("point", (3,)),), "scaled", "four times as many")


class Counting(Model):
    """Has the size of the batch in its values, which a trace takes for a constant."""

    def forward(self, point: Tensor) -> Tensor:
        return super().forward(point) + torch.full((4,), float(len(point)))


class Branching(Model):
    """Goes another way for a single point."""

    def forward(self, point: Tensor) -> Tensor:
        return super().forward(point if point.shape[0] > 1 else -point)


class Summing(LightningModule):
    """Adds up the steps of sequences one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(2, 3)
        self.embedding = nn.Embedding(9, 2)

    def forward(self, token: Tensor) -> Tensor:
        state = torch.zeros(token.shape[0], 3)
        for step in self.embedding(token).unbind(1):
            state = self.cell(step, state)
        return state

    def interface(self) -> Interface:
        return Interface((token_input("token", 9, longest=12),), "state", "the last state")


def path_of(model: LightningModule, length: int | None = None) -> ForwardPath:
    interface = model.interface()  # type: ignore[operator]
    return ForwardPath(model.eval(), interface if length is None else interface.with_length(length))


def test_a_path_has_what_forward_uses() -> None:
    model = Model()
    path = path_of(model)
    assert path.state_dict().keys() == {"layer.weight", "layer.bias", "scale"}
    assert path.layer is model.layer
    assert path.output_shape() == ("batch", 4)


def test_the_length_of_an_output_has_the_name_of_the_inputs() -> None:
    class Echo(LightningModule):
        def forward(self, source: Tensor, target: Tensor) -> Tensor:
            return torch.zeros(len(source), source.shape[1], 7, target.shape[1])

        def interface(self) -> Interface:
            return Interface((token_input("source", 9, "long"), token_input("target", 9, "short")), "echo", "nothing")

    assert path_of(Echo()).output_shape() == ("batch", "long", 7, "short")


@pytest.mark.parametrize("kind", [Counting, Branching])
def test_a_trace_that_does_not_hold_for_other_inputs_is_refused(kind: type[Model], tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"of before")
    line = r"^format is 'torchscript', which cannot express this model \(.* differs by .*\): choose .*safetensors$"
    with pytest.raises(ValueError, match=line):
        export(path_of(kind()), "torchscript", {}, file)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
    assert file.read_bytes() == b"of before"


def test_loops_need_a_length_in_every_format_but_of_weights(tmp_path: Path) -> None:
    model = Summing()
    for format in ("onnx", "torchscript", "torch_export"):
        with pytest.raises(ValueError, match=f"^format is '{format}'.* by --length, or choose safetensors$"):
            export(path_of(model), format, {}, tmp_path / "model")
    found = export(path_of(model, length=5), "torchscript", {}, tmp_path / "model")
    assert found is not None
    assert found < 1e-6


@pytest.mark.parametrize("length", [0, 13])
def test_impossible_lengths_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"^length is {length}: choose at least 1, and at most 12$"):
        path_of(Summing(), length)


def test_a_model_that_says_nothing_of_itself_is_refused(tmp_path: Path) -> None:
    class Silent(LightningModule):
        pass

    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path)
    with pytest.raises(ValueError, match=r"^model: Silent does not say what its forward takes: give it a method"):
        Exporter(0).run(trainer, Silent(), None, "onnx")


def metadata_in(file: Path) -> dict[str, Any]:
    if file.suffix == ".onnx":
        texts = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    elif file.suffix == ".safetensors":
        with safetensors.safe_open(file, framework="pt") as content:
            texts = content.metadata()
    else:
        told: dict[str, Any] = {"metadata.json": ""}
        if file.suffix == ".pt":
            torch.jit.load(str(file), _extra_files=told)
        else:
            torch.export.load(file, extra_files=told)
        return json.loads(told["metadata.json"])  # type: ignore[no-any-return]
    return {name: json.loads(text) if text[0] in "[{" else text for name, text in texts.items()}


@pytest.mark.parametrize("format", FORMATS)
def test_every_file_tells_of_itself(format: str, tmp_path: Path) -> None:
    told = {"technique": "Model", "classes": ["no", "yes"], "inputs": [{"name": "point", "range": [None, 1.0]}]}
    file = tmp_path / f"model{FORMATS[format].suffix}"
    export(path_of(Model()), format, told, file)
    assert metadata_in(file) == told
