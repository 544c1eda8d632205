from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from datamodules import ParallelText, parallel_text

TRAIN = [(f"Der Hund {number} bellt.", f"The dog {number} barks!") for number in range(60)]
HELD_OUT = [("Katze Qx", "cat Zy"), ("Bär", "bear"), ("", "")]


def write(folder: Path, part: str, pairs: list[tuple[str, str]]) -> None:
    for language, lines in zip(("de", "en"), zip(*pairs, strict=True), strict=True):
        (folder / f"{part}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "train", TRAIN)
    write(tmp_path, "val", HELD_OUT)
    write(tmp_path, "test", HELD_OUT[:2])
    return tmp_path


def data_of(root: Path, **arguments: Any) -> ParallelText:
    return ParallelText(root=str(root), merged_vocab=300, **arguments)


def test_lines_of_a_number_are_a_pair_in_either_direction(root: Path) -> None:
    data = data_of(root)
    batch = data.dataset("train").__getitems__(range(60))
    assert [data.decode(row) for row in batch.source] == [source for source, _ in TRAIN]
    assert [data.decode(row) for row in batch.target] == [target for _, target in TRAIN]
    back = data_of(root, source="en", target="de")
    assert back.read_pairs("val") == data.read_pairs("val")[::-1]
    assert [len(data.dataset(part)) for part in ("train", "val", "test")] == [60, 3, 2]  # type: ignore[arg-type]


def test_a_table_is_as_good(root: Path) -> None:
    rows = [f"{number}\t{target}\t{source}" for number, (source, target) in enumerate(TRAIN)]
    (root / "all.tsv").write_text("\n".join(["id\ttarget\tsource", *rows]), encoding="utf-8")
    assert data_of(root, train="all.tsv").read_pairs("train") == data_of(root).read_pairs("train")


def test_vocabulary_never_sees_the_parts_held_out(root: Path) -> None:
    before = data_of(root).tokenizer_json()
    write(root, "val", HELD_OUT * 50)
    write(root, "test", HELD_OUT * 50)
    data = data_of(root)
    assert data.tokenizer_json() == before
    assert data.vocab_size == 300
    assert data.decode(data.encode("Bär, 日本!")) == "Bär, 日本!"
    tokens = set(data.vocabulary.get_vocab())
    assert "ĠHund" in tokens  # the library writes a blank so
    assert "Ġdog" in tokens


def test_small_letters(root: Path) -> None:
    data = data_of(root, lowercase=True)
    assert data.decode(data.encode("Der HUND Ä")) == "der hund ä"
    assert data.read_pairs("test") == (["katze qx", "bär"], ["cat zy", "bear"])
    batch = data.dataset("test").__getitems__([0])
    assert data.decode(batch.source[0]) == "katze qx"


def test_long_pairs_are_left_out_of_training_only(root: Path) -> None:
    long = [("lang " * 40, "short"), ("kurz", "long " * 40)]
    write(root, "train", TRAIN + long)
    write(root, "val", long)
    data = data_of(root, max_length=30)
    with pytest.warns(UserWarning, match="2 of 62 training pairs are longer than max_length=30: left out"):
        assert len(data.dataset("train")) == 60
    assert len(data.dataset("val")) == 2
    assert len(data_of(root, max_length=None).dataset("train")) == 62
    with pytest.raises(ValueError, match=r"^max_length=1 leaves no training pair: choose a greater one$"):
        data_of(root, max_length=1).dataset("train")


def test_only_ends_of_lines_divide_sentences(root: Path) -> None:
    strange = "a\x85b\u2028c\x0cd"
    write(root, "val", [(strange, "x"), ("  y ", "z\r")])
    data = data_of(root)
    assert data.read_pairs("val") == ([strange, "y"], ["x", "z"])


def test_all_parts_are_read_by_their_loaders(root: Path) -> None:
    data = data_of(root, batch_tokens=200)
    data.setup("fit")
    seen = chain.from_iterable(batch.index.tolist() for batch in data.train_dataloader())
    assert sorted(seen) == list(range(60))
    assert sum(len(batch.index) for batch in data.test_dataloader()) == 2


def test_each_file_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Mock(wraps=parallel_text.read_utf8)
    monkeypatch.setattr(parallel_text, "read_utf8", read)
    data = data_of(root)
    data.setup("fit")
    data.setup("test")
    files = sorted(call.args[0].name for call in read.call_args_list)
    assert files == ["test.de", "test.en", "train.de", "train.en", "val.de", "val.en"]


def test_a_given_tokenizer_needs_no_training_part(root: Path) -> None:
    first = data_of(root)
    (root / "tokenizer.json").write_text(first.tokenizer_json(), encoding="utf-8")
    (root / "train.de").unlink()
    second = data_of(root, tokenizer=str(root / "tokenizer.json"))
    assert second.vocab_size == 300
    assert second.dataset("test").fingerprint() == first.dataset("test").fingerprint()


def test_unusable_files_are_one_line(root: Path) -> None:
    def error_of(**arguments: Any) -> str:
        with pytest.raises(ValueError, match=r".") as error:
            data_of(root, **arguments).setup("fit")
        assert "\n" not in str(error.value)
        return str(error.value)

    assert error_of(source="fr").endswith("has no file train.fr: add it, or change train, val or test")
    assert error_of(source="en") == "source='en' and target='en' are the same: choose two languages"
    assert error_of(max_length=0) == "max_length=0 is impossible: choose 1 or more"
    (root / "train.en").write_text("one\ntwo\n")
    assert error_of() == ("train.de has 60 lines and train.en 2: line N of both must be the same sentence")
    for language in ("de", "en"):
        (root / f"train.{language}").write_text("")
    assert error_of() == "train='train' has no pairs: choose other files"
    (root / "train.de").write_bytes(b"\xff\n")
    assert error_of().endswith("train.de is not UTF-8, byte 0 is 0xff: convert it")
    table = root / "bad.tsv"
    for content, message in (
        ("a\tb\n", "bad.tsv has no column 'source' or 'target': name it in the first line"),
        ("source\tb\n", "bad.tsv has no column 'target': name it in the first line"),
        ("", "bad.tsv has no column 'source' or 'target': name it in the first line"),
        ("source\ttarget\nx\ty\nz\n", "bad.tsv has 1 columns in line 3 and 2 in the first: mend it"),
        ("source\ttarget\n", "train='bad.tsv' has no pairs: choose other files"),
    ):
        table.write_text(content)
        assert error_of(train="bad.tsv") == message
    with pytest.raises(
        ValueError, match=r"^root='nowhere' is not a folder: set it to the folder of your translations$"
    ):
        ParallelText(root="nowhere")
    with pytest.raises(ValueError, match=r"^merged_vocab=259 is impossible: choose 260 or more$"):
        ParallelText(root=str(root), merged_vocab=259)
