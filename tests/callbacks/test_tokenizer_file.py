"""That a run keeps its tokenizer, and has its data take it again."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from small_text import Letters

import cli
from callbacks import RunFolder, TokenizerFile

pytestmark = pytest.mark.usefixtures("no_drawing")

NEW = ["--model=small_text.Writer", "--data=small_text.Letters", "--data.init_args.letters=abcdef gh"]


def on(folder: Path, command: str, *words: str) -> Any:
    return cli.main([command, f"--run.dir={folder}", "--run.id=one", "--wandb.mode=disabled", *words])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return on(tmp_path, "fit", *NEW, "--trainer.max_epochs=1").run.path


def test_it_is_written_when_training_begins(run: Path) -> None:
    assert json.loads((run / "tokenizer.json").read_text()) == "abcdef gh"
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["tokenizer"] is None


@pytest.mark.parametrize("command", ["validate", "test", "predict", "sample", "check", "fit"])
def test_every_later_command_takes_it_and_calls_that_no_change(
    command: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "tokenizer.json").write_text('"gh fedcba"')  # as if the text had changed since
    capsys.readouterr()
    longer = ["--trainer.max_epochs=2"] if command in ("fit", "check") else []
    main = on(tmp_path, command, *longer)
    assert main.datamodule.letters == "gh fedcba"
    assert "tokenizer" not in capsys.readouterr().out
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["tokenizer"] is None


def test_one_that_was_named_is_kept_to(run: Path, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('"hgfedcba "')
    assert on(tmp_path, "test", f"--data.init_args.tokenizer={tmp_path / 'own.json'}").datamodule.letters == "hgfedcba "


def test_a_run_without_a_checkpoint_begins_with_a_new_one(run: Path, tmp_path: Path) -> None:
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    on(tmp_path, "fit", "--data.init_args.letters=abc fed")
    assert json.loads((run / "tokenizer.json").read_text()) == "abc fed"


def test_data_that_take_none_are_left_alone(tmp_path: Path) -> None:
    run = on(tmp_path, "fit", "--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml").run.path
    assert not (run / "tokenizer.json").exists()
    (run / "tokenizer.json").write_text("{}")
    on(tmp_path, "validate")


def test_every_process_but_the_first_leaves_it_to_the_first(tmp_path: Path) -> None:
    writes = TokenizerFile(RunFolder(tmp_path / "run"))
    for first in (False, True):
        writes.on_fit_start(SimpleNamespace(is_global_zero=first, datamodule=Letters()), None)  # type: ignore[arg-type]
        assert (tmp_path / "run" / "tokenizer.json").exists() == first
