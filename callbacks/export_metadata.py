"""What an exported file tells of itself, for those who have nothing but the file."""

from importlib.metadata import version
from typing import Any

import torch

from callbacks.forward_path import ForwardPath
from callbacks.protocols import NamedClasses
from callbacks.text_protocols import Tokenized
from networks import Input


def metadata_of(technique: str, path: ForwardPath, data: Any) -> dict[str, Any]:
    """Describe a model in plain values.

    Args:
        technique: name of the model's class.
        path: what is exported.
        data: the DataModule, which may be ``NamedClasses`` or ``Tokenized``.

    Returns:
        `technique`, the versions `espalier` and `torch`, `inputs` and `outputs` with name, meaning, shape, dtype and
        range of each; `classes`, their names by number, if the model knows them; `tokenizer`, in the file format of the
        library ``tokenizers``, if the data have one.
    """
    interface = path.interface
    output = {"name": interface.output, "meaning": interface.meaning, "shape": list(path.output_shape())}
    metadata: dict[str, Any] = {
        "technique": technique,
        "espalier": version("espalier"),
        "torch": torch.__version__,
        "inputs": [_described(one) for one in interface.inputs],
        "outputs": [output | {"dtype": "float32"}],
    }
    if interface.of_classes and isinstance(data, NamedClasses) and data.class_names:
        metadata["classes"] = list(data.class_names)
    if isinstance(data, Tokenized):
        metadata["tokenizer"] = data.tokenizer_json()
    return metadata


def _described(one: Input) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": one.name,
        "meaning": one.meaning,
        "shape": ["batch", *one.shape],
        "dtype": one.dtype,
        "range": [one.low, one.high],
    }
    return described | {
        name: value for name, value in {"longest": one.longest, "padding": one.padding}.items() if value is not None
    }
