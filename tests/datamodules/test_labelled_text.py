from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cli
from datamodules import LabelledTextFile, PythonDocstrings
from datamodules.labelled_text_file import read_labelled
from datamodules.python_docstrings import PACKAGES, docstrings
from networks.tokens import PAD, UNK

SENTENCES = {"cat": "the cat number {} sleeps", "bird": "a bird sang {} times", "ant": "ants: {}"}


def lines(count: int, names: dict[str, str] = SENTENCES) -> list[str]:
    return [f"{label}\t{text.format(number)}" for number in range(count) for label, text in names.items()]


def text_file(folder: Path, content: list[str] | None = None, **arguments: Any) -> LabelledTextFile:
    path = folder / "texts.tsv"
    path.write_text("\n".join(lines(40) if content is None else content) + "\n", encoding="utf-8")
    return LabelledTextFile(path=str(path), **{"val_size": 0.1, "test_size": 0.2, **arguments})


def test_sizes_are_known_before_anything_is_divided(tmp_path: Path) -> None:
    data = text_file(tmp_path, context=9)
    assert data.class_names == ("ant", "bird", "cat")
    assert (data.num_classes, data.context) == (3, 9)
    assert data.vocab_size > 20


def test_parts_are_divided_by_class_and_together_everything(tmp_path: Path) -> None:
    data = text_file(tmp_path, context=100)
    found = []
    for part, each in (("train", 29), ("val", 3), ("test", 8)):
        rows = data.dataset(part)  # type: ignore[arg-type]
        assert rows.label.bincount().tolist() == pytest.approx([each] * 3, abs=1)
        batch = rows.__getitems__(range(len(rows)))
        texts = [data.decode(row) for row in batch.token]
        found += [f"{data.class_names[label]}\t{text}" for label, text in zip(batch.label, texts, strict=True)]
    assert sorted(found) == sorted(lines(40))


def test_a_batch_is_filled_up_and_long_texts_are_cut(tmp_path: Path) -> None:
    data = text_file(tmp_path, context=12, batch_size=50)
    batch = next(iter(data.train_dataloader()))
    assert batch.token.shape == (50, 12)
    assert batch.label.shape == batch.index.shape == (50,)
    ants = batch.token[batch.label == 0]
    assert (ants[:, -3:] == PAD).all()
    assert {data.decode(row) for row in batch.token[batch.label == 2]} == {"the cat numb"}


def test_few_labels_are_some_of_more_and_leave_the_rest_alone(tmp_path: Path) -> None:
    def texts(data: LabelledTextFile, part: Any) -> set[str]:
        rows = data.dataset(part)
        return {data.decode(row) for row in rows.__getitems__(range(len(rows))).token}

    three, nine, everything = (text_file(tmp_path, train_per_class=count) for count in (3, 9, None))
    assert three.dataset("train").label.bincount().tolist() == [3, 3, 3]
    assert texts(three, "train") < texts(nine, "train") < texts(everything, "train")
    assert texts(three, "val") == texts(everything, "val")
    assert three.tokenizer_json() == everything.tokenizer_json()
    with pytest.raises(ValueError, match=r"train_per_class=50 is more than the \d+ training texts of class 'ant'"):
        text_file(tmp_path, train_per_class=50).setup("fit")


def test_the_vocabulary_is_that_of_the_training_part(tmp_path: Path) -> None:
    data = text_file(tmp_path, [*lines(40), "ant\tÄ"] + ["bird\tx"] * 3, level="characters", split_seed=3)
    assert set(data.vocabulary.get_vocab()) >= set("the cat")
    whole = "".join(data.vocabulary.get_vocab())
    training = {data.decode(row) for row in data.dataset("train").__getitems__(range(len(data.dataset("train")))).token}
    assert ("Ä" in whole) == any("Ä" in text for text in training)
    assert data.encode("ß") == [UNK]
    merged = text_file(tmp_path, level="bpe", merged_vocab=300)
    assert merged.decode(merged.encode("the cat ß")) == "the cat ß"


def test_evaluation_goes_from_the_longest_to_the_shortest(tmp_path: Path) -> None:
    data = text_file(tmp_path, eval_batch_size=4, context=100)
    data.setup("test")
    batches = list(data.test_dataloader())
    lengths = [int(length) for batch in batches for length in (batch.token != PAD).sum(1)]
    assert lengths == sorted(lengths, reverse=True)
    assert sorted(int(index) for batch in batches for index in batch.index) == list(range(24))


def test_training_order_follows_from_the_seed(tmp_path: Path) -> None:
    def order(**arguments: Any) -> list[int]:
        return [int(index) for batch in text_file(tmp_path, **arguments).train_dataloader() for index in batch.index]

    assert order(seed=1) == order(seed=1) != order(seed=2)
    assert sorted(order(seed=1)) == list(range(len(order(seed=2))))


def test_a_file_of_its_own_is_the_test_part(tmp_path: Path) -> None:
    test = tmp_path / "test.tsv"
    test.write_text("bird\tanother bird\ncat\tanother\tcat\n\n")
    data = text_file(tmp_path, test_path=str(test), test_size=None, context=50, level="bpe", merged_vocab=300)
    assert len(data.dataset("train")) + len(data.dataset("val")) == 120
    batch = data.dataset("test").__getitems__([0, 1])
    assert batch.label.tolist() == [1, 2]
    assert [data.decode(row) for row in batch.token] == ["another bird", "another\tcat"]
    test.write_text("dog\tone\ncat\ttwo\n")
    with pytest.raises(ValueError, match=r"test.tsv has class 'dog', which .*texts.tsv has not: mend one"):
        data.read_test()


def test_fingerprint_tells_texts_and_labels_apart(tmp_path: Path) -> None:
    other = [line.replace("ant\t", "cat\t") for line in lines(40)]
    prints = {text_file(tmp_path, content).fingerprint() for content in (lines(40), other, lines(41))}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (["ant\tone", "cat two"], "texts.tsv has no label, tab and text in line 2: mend it"),
        (["ant\tone", "", "cat\t "], "texts.tsv has no label, tab and text in line 3: mend it"),
        (["ant\tone", "ant\ttwo"], "texts.tsv has fewer than two classes: begin each line with"),
        ([], "texts.tsv has fewer than two classes"),
    ],
)
def test_a_file_that_is_none_is_one_line(content: list[str], line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=line):
        text_file(tmp_path, content).setup("fit")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"level": "words"}, "level='words' is not a kind of tokens: choose"),
        ({"context": 0}, "context=0 is impossible: choose 1 or more"),
        ({"val_size": 1.0}, "val_size=1.0 is not a share of the training texts: choose"),
        ({"test_size": 1.0}, "test_size=1.0 is not a share of the texts: choose"),
        ({"train_per_class": 0}, "train_per_class=0 is impossible: choose 1 or more"),
        ({"test_path": "no.tsv"}, "test_path='no.tsv' is not a file: set it to lines of a label, a tab and a text"),
        ({"test_path": __file__}, "test_size=0.2 is not used with test_path="),
    ],
)
def test_an_impossible_argument_is_one_line(arguments: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=line):
        text_file(tmp_path, **arguments)


def test_a_missing_file_is_said_by_the_command(errors_of: Callable[[list[str]], list[str]]) -> None:
    words = ["fit", "--model=SequenceClassifier", "--data=LabelledTextFile", "--data.init_args.path=no.tsv"]
    assert errors_of(words) == [
        "error: data.init_args.path='no.tsv' is not a file: set it to lines of a label, a tab and a text"
    ]


def test_spaces_around_labels_and_marks_of_order_are_no_part_of_them(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_bytes("\ufeffant \t one \r\ncat\ttwo\r\n".encode())
    assert read_labelled(path) == [("ant", "one"), ("cat", "two")]


def test_docstrings_are_of_their_packages_and_come_once() -> None:
    data = PythonDocstrings(context=60)
    parts = [data.read_training(), data.read_test()]
    texts = [text for part in parts for text in part.text]
    assert 1_500 < len(texts) < 2_200
    assert len(set(texts)) == len(texts)
    assert min(map(len, texts)) >= 40
    labels = torch.cat([part.label for part in parts])
    assert labels.bincount(minlength=len(PACKAGES)).min() > 50
    of_logging = set(docstrings("logging"))
    by_label = {text for part in parts for text, label in zip(part.text, part.label, strict=True) if label == 4}
    assert PACKAGES[4] == "logging"
    assert by_label <= of_logging
    assert len(by_label) > 0.9 * len(of_logging)


def test_a_python_without_sources_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.python_docstrings.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="this Python has no sources of asyncio: install them, or choose"):
        PythonDocstrings().setup("fit")


def test_a_masked_language_model_reads_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    path = text_file(tmp_path).path
    words = ["--model=MaskedLanguageModel", "--data=LabelledTextFile", f"--data.init_args.path={path}"]
    words += ["--data.init_args.context=16", "--trainer.max_steps=2", f"--run.dir={tmp_path}", "--run.id=one"]
    cli.main(["fit", *words])
    assert "test/token_accuracy" in cli.main(["test", f"--run.dir={tmp_path}", "--run.id=one"]).trainer.callback_metrics
