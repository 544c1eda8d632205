"""The command `export`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import safetensors
import safetensors.torch
import torch

import cli
from callbacks import exporting
from datamodules import InMemoryImages

FIT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small runs of a classifier of images and of a model of text."""
    folder = tmp_path_factory.mktemp("runs")
    for run, words in {
        "images": ["--config=configs/classifier/digits.yaml"],
        "text": ["--config=configs/language_model/recall_lstm.yaml"],
    }.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WANDB_MODE", "disabled")
            cli.main(["fit", *words, *FIT, f"--run.dir={folder}", f"--run.id={run}"])
    return folder


def export(folder: Path, run: str, format: str, *words: str) -> Path:
    main = cli.main(["export", f"--run.dir={folder}", f"--run.id={run}", f"--format={format}", *words])
    (path,) = main.trainer.callbacks[0].paths
    return path  # type: ignore[no-any-return]


def metadata_of(file: Path) -> dict[str, str]:
    with safetensors.safe_open(file, framework="pt") as content:
        return content.metadata()  # type: ignore[no-any-return]


def test_a_run_becomes_a_file_that_was_run(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InMemoryImages, "load_training", lambda self: pytest.fail("data are loaded"))
    run = runs / "classifier-digits" / "images"
    config = (run / "config.yaml").read_text()
    file = export(runs, "images", "onnx")
    assert file == run / "model.onnx"
    checked, *rest = capsys.readouterr().out.splitlines()[-3:]
    assert checked.startswith("model.onnx was run, and differs from the model by at most ")
    assert float(checked.split()[-1]) < 1e-5
    assert rest == [f"wrote {file}", f"run {run}"]
    assert (run / "config.yaml").read_text() == config
    assert '"stage": "export"' in (run / "provenance.json").read_text()
    told = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    assert (told["technique"], told["run"], told["checkpoint"]) == ("Classifier", "images", "best.ckpt")
    assert json.loads(told["classes"]) == list("0123456789")
    assert json.loads(told["inputs"]) == [
        {
            "name": "image",
            "meaning": "pixels in [0, 1], normalised by nothing else",
            "shape": ["batch", 1, 8, 8],
            "dtype": "float32",
            "range": [0.0, 1.0],
        }
    ]
    assert json.loads(told["outputs"]) == [
        {"name": "logits", "meaning": "logits of the classes", "shape": ["batch", 10], "dtype": "float32"}
    ]


def test_weights_are_those_that_test_takes(runs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(runs, tmp_path / "runs")
    checkpoints = folder / "classifier-digits" / "images" / "checkpoints"
    exported = safetensors.torch.load_file(export(folder, "images", "safetensors"))
    best = torch.load(checkpoints / "best.ckpt", weights_only=True)
    assert exported
    assert all(torch.equal(value, best["state_dict"][name]) for name, value in exported.items())
    average = {name: value + 1 for name, value in best["state_dict"].items()}
    torch.save({**best, "state_dict": average}, checkpoints / "average.ckpt")
    out = tmp_path / "new" / "weights.safetensors"
    assert export(folder, "images", "safetensors", f"--out={out}") == out
    assert all(torch.equal(value, average[name]) for name, value in safetensors.torch.load_file(out).items())
    assert metadata_of(out)["checkpoint"] == "average.ckpt"


def test_a_file_of_a_text_model_has_its_vocabulary(runs: Path, tmp_path: Path) -> None:
    file = export(runs, "text", "safetensors", f"--out={tmp_path / 'model.safetensors'}")
    told = metadata_of(file)
    assert told["tokenizer"] == (runs / "language_model-associativerecall" / "text" / "tokenizer.json").read_text()
    (token,) = json.loads(told["inputs"])
    assert token["shape"] == ["batch", "length"]
    assert token["padding"] == 0
    size = len(json.loads(told["tokenizer"])["model"]["vocab"])
    assert token["range"] == [0, size - 1]
    assert json.loads(told["outputs"])[0]["shape"] == ["batch", "length", size]


def test_steps_that_are_written_down_one_by_one_need_their_number(
    runs: Path, tmp_path: Path, errors_of: Callable[[list[str]], list[str]]
) -> None:
    words = ["export", f"--run.dir={runs}", "--run.id=text", "--format=torch_export"]
    assert errors_of(words) == [
        "error: format is 'torch_export', which writes the steps of a recurrent network down one by one: fix their "
        "number by --length, or choose onnx, torchscript or safetensors"
    ]
    file = export(runs, "text", "torch_export", "--length=4", f"--out={tmp_path / 'four.pt2'}")
    program = torch.export.load(file).module()
    assert program(torch.ones(3, 4, dtype=torch.int64)).shape[:2] == (3, 4)
    with pytest.raises(AssertionError, match="Guard failed"):
        program(torch.ones(3, 5, dtype=torch.int64))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--format=onnx", "--length=3"], "length is 3: this model takes no sequences, leave it out"),
        (["--format=onnx", "--out=docs"], "out is 'docs', which is a folder: give the name of a file"),
        (["--format=tflite"], "format: "),
        ([], "format"),
    ],
)
def test_mistakes_end_in_one_line(
    runs: Path, errors_of: Callable[[list[str]], list[str]], words: list[str], line: str
) -> None:
    (found,) = errors_of(["export", f"--run.dir={runs}", "--run.id=images", *words])
    assert line in found


def test_missing_packages_are_named(
    runs: Path, errors_of: Callable[[list[str]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == "onnxscript" else "there")
    assert errors_of(["export", f"--run.dir={runs}", "--run.id=images", "--format=onnx"]) == [
        "error: format is 'onnx', which needs onnxscript: pip install 'espalier[export]', or choose torchscript, "
        "torch_export or safetensors"
    ]


def test_a_file_that_nothing_here_can_run_is_said_to_be_unchecked(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from callbacks import export_formats

    monkeypatch.setattr(export_formats, "find_spec", lambda name: None)
    file = export(runs, "images", "onnx", f"--out={tmp_path / 'model.onnx'}")
    assert "model.onnx was not run, because onnxruntime is not installed" in capsys.readouterr().out
    assert file.is_file()


def test_an_untrained_run_is_named(tmp_path: Path, errors_of: Callable[[list[str]], list[str]]) -> None:
    words = ["--config=configs/vae/digits.yaml", f"--run.dir={tmp_path}", "--format=safetensors"]
    (line,) = errors_of(["export", *words])
    assert line.startswith("error: export needs a trained model: give the --run.id of a run in ")
