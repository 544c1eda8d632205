"""The command `sample` of models that fill in blanks."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_text import Filler

import cli
from callbacks import BlankFiller, CommandTrainer
from datamodules import GaussianRing


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a model that fills in."""
    folder = tmp_path_factory.mktemp("runs")
    short = [f"--run.dir={folder}", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        cli.main(["fit", "--model=small_text.Filler", "--data=small_text.Letters", *short, "--run.id=filler"])
    return folder


def test_the_text_and_what_is_likely_are_printed_and_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sample", f"--run.dir={runs}", "--run.id=filler", "--prompt=a<mask> c<mask><mask>", "--top_k=1"]
    run = cli.main(words).run.path
    expected = "ab cde\n<mask> 1: b 90.0%\n<mask> 2: d 90.0%\n<mask> 3: e 90.0%\n"
    assert (run / "filled.txt").read_text() == expected
    assert capsys.readouterr().out.endswith(f"{expected}wrote {run}/filled.txt\nrun {run}\n")


def test_by_default_five_are_listed(runs: Path, tmp_path: Path) -> None:
    cli.main(["sample", f"--run.dir={runs}", "--run.id=filler", "--prompt=a<mask>", f"--out={tmp_path}"])
    (line,) = (tmp_path / "filled.txt").read_text().splitlines()[1:]
    assert line.count("%") == 5
    assert line.startswith("<mask> 1: b 90.0%  ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "prompt is '': write <mask> for each token that is to be filled in"),
        (["--prompt=abc"], "prompt is 'abc': write <mask> for each token that is to be filled in"),
        (["--prompt=xyz<mask>"], "prompt is 'xyz<mask>', of which the vocabulary of this run has nothing: give"),
        (["--prompt=<mask>abcabcabca"], "prompt has 11 tokens: give at most 9, which the model reads"),
        (["--prompt=a<mask>", "--top_k=0"], "top_k is 0: choose 1 or more"),
        (["--prompt=a<mask>", "--length=3"], "--length does not apply to Filler, which fills in blanks: leave it out"),
    ],
)
def test_mistakes_end_in_one_line(
    words: list[str], line: str, runs: Path, errors_of: Callable[[list[str]], list[str]]
) -> None:
    (said,) = errors_of(["sample", f"--run.dir={runs}", "--run.id=filler", *words])
    assert said.startswith(f"error: {line}")


def test_data_without_text_cannot_be_filled_in(tmp_path: Path) -> None:
    trainer = CommandTrainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, callbacks=[BlankFiller(0)])
    with pytest.raises(ValueError, match="GaussianRing has no text, only tokens: sample a run that"):
        trainer.sample(Filler(), GaussianRing(), prompt="<mask>")
