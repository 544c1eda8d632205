"""Files from strangers: no code in them runs, and nothing is written outside the run's folder."""

import ast
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import cli

ErrorsOf = Callable[[list[str]], list[str]]
ROOT = Path(__file__).parent.parent
VAE = ["--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml"]
pytestmark = pytest.mark.usefixtures("no_drawing")
LOADERS = {"load", "load_from_checkpoint"}


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.marker,)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("WANDB_MODE", "disabled")
        words = [f"--run.dir={tmp_path_factory.mktemp('runs')}", "--run.id=one"]
        return cli.main(["fit", *VAE, *words]).run.path


@pytest.fixture(params=["as Lightning saves", "in the weights", "a bare pickle"])
def poisoned(request: pytest.FixtureRequest, honest: Path, tmp_path: Path) -> Path:
    """A checkpoint that would make the folder `marker` beside it."""
    path, payload = tmp_path / "poisoned.ckpt", Payload(tmp_path / "marker")
    saved = torch.load(honest / "checkpoints/last.ckpt", weights_only=True)
    if request.param == "a bare pickle":
        path.write_bytes(pickle.dumps(payload))
    elif request.param == "in the weights":
        torch.save({**saved, "state_dict": {"encoder.1.weight": payload}}, path)
    else:
        torch.save({**saved, "hyper_parameters": payload}, path)
    return path


def test_the_payload_works(poisoned: Path) -> None:
    if poisoned.read_bytes().startswith(b"PK"):
        torch.load(poisoned, weights_only=False)
    else:
        pickle.loads(poisoned.read_bytes())
    assert (poisoned.parent / "marker").exists()


@pytest.mark.parametrize("command", ["fit", "test", "predict"])
def test_a_given_checkpoint_runs_no_code(command: str, poisoned: Path, errors_of: ErrorsOf) -> None:
    (line,) = errors_of([command, *VAE, f"--ckpt_path={poisoned}", f"--run.dir={poisoned.parent / 'runs'}"])
    assert "cannot be read, it is damaged, no checkpoint, or holds more than plain values" in line
    assert "weights_only" not in line
    assert not (poisoned.parent / "marker").exists()


@pytest.mark.parametrize("command", ["test", "predict"])
def test_a_run_s_own_checkpoint_runs_no_code(command: str, honest: Path, poisoned: Path, errors_of: ErrorsOf) -> None:
    run = shutil.copytree(honest, poisoned.parent / "runs" / "strange" / "one")
    for name in ("last.ckpt", "best.ckpt"):
        shutil.copy(poisoned, run / "checkpoints" / name)
    (line,) = errors_of([command, f"--run.dir={run.parent.parent}", "--run.id=one"])
    assert "cannot be read" in line
    assert not (poisoned.parent / "marker").exists()


def test_fit_falls_back_to_the_checkpoint_before(
    honest: Path, poisoned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(honest, poisoned.parent / "runs" / "vae-digits" / "one")
    shutil.copy(poisoned, run / "checkpoints" / "last.ckpt")
    cli.main(["fit", f"--run.dir={run.parent.parent}", "--run.id=one"])
    out = capsys.readouterr().out
    assert "last.ckpt is damaged" in out
    assert "weights_only" not in out  # torch would recommend to run the code
    assert not (poisoned.parent / "marker").exists()
    torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("key", ["id", "experiment"])
@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside"])
def test_a_config_cannot_lead_out_of_the_folder(key: str, name: str, tmp_path: Path, errors_of: ErrorsOf) -> None:
    runs = tmp_path / "deep" / "runs"
    config = tmp_path / "strange.yaml"
    config.write_text(yaml.safe_dump({"run": {"dir": str(runs), key: name}}))
    (line,) = errors_of(["fit", *VAE, f"--config={config}"])
    assert f"run.{key} is {name!r}" in line
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [config]


@pytest.mark.parametrize("where", ["flag", "file"])
def test_an_id_does_not_find_a_run_outside(where: str, honest: Path, tmp_path: Path, errors_of: ErrorsOf) -> None:
    outside = shutil.copytree(honest, tmp_path / "runs" / "outside")  # one level too high: no experiment
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    (tmp_path / "runs" / "vae-digits").mkdir()
    config = tmp_path / "strange.yaml"
    config.write_text("run: {id: ../outside}")
    words = ["--run.id=../outside"] if where == "flag" else [*VAE, f"--config={config}"]
    (line,) = errors_of(["fit", *words, f"--run.dir={tmp_path / 'runs'}"])
    assert "run.id is '../outside'" in line
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_run_s_own_config_runs_no_code(command: str, honest: Path, tmp_path: Path, errors_of: ErrorsOf) -> None:
    run = shutil.copytree(honest, tmp_path / "runs" / "strange" / "one")
    with (run / "config.yaml").open("a") as file:
        file.write(f"early_stopping: !!python/object/apply:os.mkdir [{tmp_path / 'marker'}]\n")
    (line,) = errors_of([command, f"--run.dir={tmp_path / 'runs'}", "--run.id=one"])
    assert "config.yaml' is not YAML with plain values" in line
    assert not (tmp_path / "marker").exists()


def test_a_run_s_own_config_does_not_choose_where_it_is_written(honest: Path, tmp_path: Path) -> None:
    run = shutil.copytree(honest, tmp_path / "runs" / "strange" / "one")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["run"].update(dir=str(tmp_path / "elsewhere"), experiment="other", id="two")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    cli.main(["test", f"--run.dir={tmp_path / 'runs'}", "--run.id=one"])
    assert (run / "test.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def unguarded(source: str) -> list[int]:
    """Lines that load a checkpoint without `weights_only=True`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOADERS
        and (node.func.attr != "load" or ast.unparse(node.func.value) in ("torch", "pickle"))
        and not any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
    ]


SOURCES = [ROOT / "cli.py", *(path for path in ROOT.glob("*/*.py") if path.parent.name != "tests")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_is_loaded_as_plain_values(path: Path) -> None:
    assert unguarded(path.read_text()) == []


@pytest.mark.parametrize(
    "source", ["torch.load(x)", "torch.load(x, weights_only=False)", "VAE.load_from_checkpoint(x)", "pickle.load(x)"]
)
def test_the_rule_would_catch_a_careless_load(source: str) -> None:
    assert unguarded(source) == [1]
