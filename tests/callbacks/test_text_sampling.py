"""The command `sample` of models that write or translate."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_text import LINES, Letters, Mirror, Writer

import cli
from callbacks import CommandTrainer, TextSampler, text_sampling
from callbacks.text_lines import in_one_line, read_lines
from datamodules import GaussianRing

pytestmark = pytest.mark.usefixtures("no_drawing")

ErrorsOf = Callable[[list[str]], list[str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a model that writes, of one that translates, and of one that draws."""
    folder = tmp_path_factory.mktemp("runs")
    short = [f"--run.dir={folder}", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        cli.main(["fit", "--model=small_text.Writer", "--data=small_text.Letters", *short, "--run.id=writer"])
        cli.main(["fit", "--model=small_text.Mirror", "--data=small_text.Letters", *short, "--run.id=mirror"])
        cli.main(["fit", "--config=configs/vae/digits.yaml", *short, "--run.id=vae"])
        cli.main(["fit", "--config=configs/autoencoder/digits.yaml", *short, "--run.id=autoencoder"])
    return folder


def sample(folder: Path, run: str, *words: str) -> Any:
    return cli.main(["sample", f"--run.dir={folder}", f"--run.id={run}", *words])


def test_a_text_is_printed_and_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = sample(runs, "writer", "--prompt=bad ", "--length=30")
    text = (main.run.path / "samples.txt").read_text()
    assert text.startswith("bad ")
    assert len(text) == len("bad ") + 30 + 1
    assert set(text) <= set(" abcdef\n")
    out = capsys.readouterr().out
    assert out.endswith(f"{text}wrote {main.run.path}/samples.txt\nrun {main.run.path}\n")
    assert "changed from the run's own config" not in out
    assert json.loads((main.run.path / "provenance.json").read_text())[-1]["stage"] == "sample"


def test_by_default_it_is_one_of_500_tokens_without_a_prompt(runs: Path) -> None:
    text = (sample(runs, "writer").run.path / "samples.txt").read_text()
    assert len(text) == 500 + 1  # what marks the beginning is no letter


def test_the_seed_and_the_settings_count(runs: Path) -> None:
    def text(*words: str) -> str:
        return (sample(runs, "writer", "--length=40", *words).run.path / "samples.txt").read_text()

    assert text() == text()
    assert text() != text("--seed_everything=1")
    assert text("--temperature=0") == 40 * " " + "\n"
    assert set(text("--top_k=2")) == set(" a\n")


def test_several_texts_are_told_apart(runs: Path, tmp_path: Path) -> None:
    sample(runs, "writer", "--n=70", "--prompt=face", "--length=9", f"--out={tmp_path / 'new'}")
    lines = (tmp_path / "new" / "samples.txt").read_text().splitlines()
    heads = [line for line in lines if line.startswith("---")]
    assert heads[0] == f"{'-' * 35} 1 of 70 {'-' * 36}"
    assert len(heads) == 70
    texts = lines[1::3]
    assert all(text.startswith("face") and len(text) == 13 for text in texts)
    assert len(set(texts)) == 70


@pytest.mark.parametrize("prompt", ["a: b", "[abc]", "{a}", "1e3", "- a", "a #b", "null", "true", "'a"])
def test_a_prompt_is_taken_as_it_is(prompt: str, runs: Path) -> None:
    path = runs / "writer-letters" / "writer" / "tokenizer.json"
    kept = path.read_text()
    path.write_text(json.dumps(sorted(set(prompt + " abcdef"))))
    try:
        text = (sample(runs, "writer", f"--prompt={prompt}", "--length=1").run.path / "samples.txt").read_text()
    finally:
        path.write_text(kept)
    assert text[:-2] == prompt


def test_a_prompt_that_is_known_in_part_warns(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(text_sampling, "rank_zero_info", said.append)
    main = sample(runs, "writer", "--prompt=a!?", "--length=5")
    assert said == ["warning: prompt is 'a!?', of which the vocabulary of this run lacks 2 of 3 tokens"]
    assert (main.run.path / "samples.txt").read_text().startswith("a")


def test_lines_are_translated_in_their_order(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["abc", "", "deaf cab", "  ", "f", *LINES * 20]
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    main = sample(runs, "mirror", f"--input={tmp_path / 'lines.txt'}")
    expected = [line.strip()[::-1] for line in lines]
    assert (main.run.path / "translations.txt").read_text().split("\n") == [*expected, ""]
    assert capsys.readouterr().out.splitlines()[: len(lines)] == expected
    assert isinstance(main.model, Mirror)
    assert len(main.model.widths) == 2  # batches of 64
    assert max(main.model.widths[:-1]) <= min(len(line) for line in sorted(lines, key=len)[67:]) + 1


def test_lines_come_from_standard_input(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc\r\n\r\nfed")))
    sample(runs, "mirror", "--input", "-", f"--out={tmp_path}")
    assert (tmp_path / "translations.txt").read_text() == "cba\n\ndef\n"


@pytest.mark.parametrize(
    ("run", "words", "line"),
    [
        ("vae", ["--prompt=a"], "--prompt does not apply to VAE, which draws images or points: leave it out"),
        (
            "vae",
            ["--length=5", "--top_p=0.5"],
            "--length and --top_p do not apply to VAE, which draws images or points: leave them out",
        ),
        ("writer", ["--label=3"], "--label does not apply to Writer, which writes text: leave it out"),
        ("writer", ["--input=README.md"], "--input does not apply to Writer, which writes text: leave it out"),
        (
            "mirror",
            ["--n=3", "--temperature=1", "--prompt=a"],
            "--n and --prompt and --temperature do not apply to Mirror, which translates lines: leave them out",
        ),
        ("autoencoder", ["--prompt=a"], "model: Autoencoder cannot sample, it is no generative model: give the "),
        ("writer", ["--n=0"], "n is 0: choose 1 or more"),
        ("writer", ["--length=0"], "length is 0: choose 1 or more"),
        ("writer", ["--temperature=-1"], "temperature is -1.0: choose 0 or more"),
        ("writer", ["--prompt=xyz"], "prompt is 'xyz', of which the vocabulary of this run has nothing: give another"),
        ("writer", ["--out=README.md"], "out is 'README.md', which is no folder: choose another"),
        ("mirror", [], "input: Mirror translates lines: give --input and a file, or --input - for standard input"),
        ("mirror", ["--input=no.txt"], "input: there is no file 'no.txt': check the path, or give - for standard "),
    ],
)
def test_mistakes_end_in_one_line(run: str, words: list[str], line: str, runs: Path, errors_of: ErrorsOf) -> None:
    (said,) = errors_of(["sample", f"--run.dir={runs}", f"--run.id={run}", *words])
    assert said.startswith(f"error: {line}")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"ab\xff", "input: byte 2 of '{path}' is no UTF-8: convert the text"),
        (b"\n \n", "input: there are no words in '{path}': give lines to translate"),
        ("привет\n".encode(), "input is '{path}', of which the vocabulary of this run has nothing: give another"),
    ],
)
def test_files_that_cannot_be_translated(
    content: bytes, line: str, runs: Path, tmp_path: Path, errors_of: ErrorsOf
) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    words = ["sample", f"--run.dir={runs}", "--run.id=mirror", f"--input={path}"]
    assert errors_of(words) == [f"error: {line.format(path=path)}"]


def test_data_without_text_cannot_be_sampled(tmp_path: Path) -> None:
    trainer = CommandTrainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, callbacks=[TextSampler(0)])
    with pytest.raises(ValueError, match="GaussianRing has no text, only tokens: sample a run that"):
        trainer.sample(Writer(), GaussianRing())


def test_lines_of_any_ending_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffone\r\ntwo\u2028three\n\n".encode())
    assert read_lines(str(tmp_path / "a"), "x") == ["one", "two\u2028three", ""]
    assert in_one_line("one\r\ntwo\u2028three\n") == "one two three"


def test_the_fake_data_go_both_ways() -> None:
    data = Letters()
    assert [data.decode(data.encode(line)) for line in LINES] == LINES
    assert data.decode(torch.tensor([1, 5, 2, 6])) == "a"
