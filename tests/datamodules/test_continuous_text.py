from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cli
from datamodules import PythonDocs, TextFile
from datamodules.windows import TokenWindows, WindowSampler, windows_an_epoch
from networks.tokens import EOS, PAD, UNK


def numbered(size: int, context: int) -> TokenWindows:
    """A text whose token at position n is n + 4."""
    return TokenWindows(torch.arange(size) + 4, context, (torch.arange(size + 4) != PAD).long())


def text_file(folder: Path, text: str, **arguments: Any) -> TextFile:
    path = folder / "text.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return TextFile(path=str(path), **arguments)


@given(st.integers(2, 300), st.integers(1, 40))
def test_evaluation_asks_for_every_token_once_and_reads_the_one_before(size: int, context: int) -> None:
    windows = numbered(size, context)
    assert len(windows) == len(windows.starts)
    batch = windows.__getitems__(windows.starts)
    assert batch.token.shape == batch.target.shape == (len(windows), context)
    asked = batch.target != PAD
    assert batch.target[asked].tolist() == [*range(5, size + 4)]
    assert batch.token[asked].tolist() == [*range(4, size + 3)]
    assert batch.tokens == int(batch.characters.sum()) == size - 1
    assert batch.index.tolist() == list(windows.starts)


@given(st.integers(2, 500), st.integers(1, 40), st.integers(0, 2**31), st.integers(0, 20))
def test_training_windows_tile_the_text_from_an_offset(size: int, context: int, seed: int, epoch: int) -> None:
    if size < 2 * context:
        assert windows_an_epoch(size, context) == 0
        return
    sampler = WindowSampler(size, context, seed=seed, epoch=epoch)
    starts = list(sampler)
    assert len(starts) == len(sampler) == windows_an_epoch(size, context) > 0
    assert 0 <= min(starts) < context
    assert sorted(starts) == [*range(min(starts), min(starts) + context * len(starts), context)]
    batch = numbered(size, context).__getitems__(starts)
    assert batch.tokens == batch.token.numel()
    assert size - context - batch.tokens < 2 * context  # little is left out


def test_offset_and_order_are_drawn_anew_in_each_epoch() -> None:
    epochs = [list(WindowSampler(1000, 50, seed=1, epoch=epoch)) for epoch in range(5)]
    assert len({min(epoch) for epoch in epochs}) > 3
    assert len({tuple(start // 50 for start in epoch) for epoch in epochs}) == 5
    assert epochs[2] == list(WindowSampler(1000, 50, seed=1, epoch=2))


def test_parts_follow_each_other_and_validation_is_last(tmp_path: Path) -> None:
    data = text_file(tmp_path, "".join(map(chr, range(200, 1200))), val_size=0.1, test_size=0.05, context=7)
    parts = [data.part_of_text(part) for part in ("train", "test", "val")]  # type: ignore[arg-type]
    assert [len(part) for part in parts] == [850, 50, 100]
    assert "".join(parts) == data.read_text()


def test_vocabulary_never_sees_the_parts_held_out(tmp_path: Path) -> None:
    text = "abcd " * 170 + "T" * 50 + "V" * 98 + "ab"
    data = text_file(tmp_path, text, context=10)
    assert set(data.vocabulary.get_vocab()) == {*" abcd", "<pad>", "<bos>", "<eos>", "<unk>"}
    (batch,) = data.val_dataloader()
    assert (batch.target[batch.target != PAD] == UNK).sum() == 97
    assert batch.tokens == batch.characters.sum() == 99
    merged = text_file(tmp_path, text, context=10, level="bpe", merged_vocab=400)
    assert not any("TT" in token or "VV" in token for token in merged.vocabulary.get_vocab())


def test_merged_bytes_count_characters_of_the_text(tmp_path: Path) -> None:
    text = "naïve Straße, naïve Straße.\n" * 100
    data = text_file(tmp_path, text, level="bpe", merged_vocab=280, context=16)
    batches = list(data.val_dataloader())
    part = data.part_of_text("val")
    first = data.decode(data.encode(part)[:1])
    assert sum(int(batch.characters.sum()) for batch in batches) == len(part) - len(first)
    assert sum(batch.tokens for batch in batches) == len(data.encode(part)) - 1


def test_a_text_is_read_back_and_its_tokens_have_names(tmp_path: Path) -> None:
    data = text_file(tmp_path, "to be, or not\tto be.\n" * 50)
    tokens = torch.tensor(data.encode("to be.\n"))
    assert data.decode(tokens) == "to be.\n"
    assert data.decode([1, *tokens[:2].tolist(), 0, EOS, *tokens.tolist()]) == "to"
    assert data.token_names(tokens) == ["t", "o", "␣", "b", "e", ".", "↵"]
    assert data.token_names([0, 1, 2, 3]) == ["<pad>", "<bos>", "<eos>", "<unk>"]
    assert (data.context, data.vocab_size) == (128, 15)


def test_a_given_tokenizer_takes_the_place_of_the_training_part(tmp_path: Path) -> None:
    first = text_file(tmp_path, "abc" * 500, context=8)
    (tmp_path / "tokenizer.json").write_text(first.tokenizer_json(), encoding="utf-8")
    second = text_file(tmp_path, "abd" * 500, context=8, tokenizer=str(tmp_path / "tokenizer.json"))
    assert second.encode("abd") == [*first.encode("ab"), UNK]
    assert second.vocab_size == first.vocab_size


def test_fingerprint_tells_texts_and_vocabularies_apart(tmp_path: Path) -> None:
    def of(text: str, **arguments: Any) -> str:
        return text_file(tmp_path, text, context=8, **arguments).fingerprint()

    larger = tmp_path / "tokenizer.json"
    larger.write_text(text_file(tmp_path, "abc" * 500).tokenizer_json(), encoding="utf-8")
    one = of("ab" * 500)
    assert one == of("ab" * 500, seed=3)
    assert len({one, of("cd" * 500), of("abb" * 500), of("ab" * 500, tokenizer=str(larger))}) == 4


def test_python_documents_itself() -> None:
    data = PythonDocs()
    text = data.read_text()
    assert len(text) > 400_000
    assert 'The "while" statement' in text or "while_stmt" in text
    assert data.decode(data.encode(text[5000:6000])) == text[5000:6000]
    assert 90 < data.vocab_size < 140
    assert PythonDocs(val_size=0).val_dataloader() == []
    assert data.read_text() == PythonDocs().read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": 0}, "context=0 is impossible: choose 1 or more"),
        ({"merged_vocab": 259}, "merged_vocab=259 is impossible: choose 260 or more"),
        ({"level": "words"}, "level='words' is not a kind of tokens: "),
        ({"val_size": 1.0}, "val_size=1.0 is not a share of the text: "),
        ({"test_size": -0.1}, "test_size=-0.1 is not a share of the text: "),
        ({"val_size": 0.5, "test_size": 0.5}, "val_size=0.5 and test_size=0.5 leave no training part: "),
        ({"tokenizer": "nowhere.json"}, "tokenizer='nowhere.json' is not a file: "),
        ({"batch_size": 0}, "batch_size=0 is impossible: "),
    ],
)
def test_impossible_arguments_are_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}.*$") as error:
        PythonDocs(**arguments)
    assert "\n" not in str(error.value)


def test_short_and_unreadable_texts_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^context=20 is too long for 34 training tokens: choose 17 or less, or a "):
        text_file(tmp_path, "abcd" * 10, context=20).setup("fit")
    assert len(text_file(tmp_path, "abcd" * 10, context=17, test_size=0.05).dataset("train")) == 2
    with pytest.raises(ValueError, match=r"^the train part has 0 token\(s\), 2 are needed: choose a longer text$"):
        text_file(tmp_path, "", context=4).setup("fit")
    with pytest.raises(ValueError, match=r"^the val part has 1 token\(s\), 2 are needed: "):
        text_file(tmp_path, "abcdefghij", context=4).setup("fit")
    with pytest.raises(ValueError, match=r"^test_size=0 leaves no test part: "):
        text_file(tmp_path, "ab" * 50, test_size=0).setup("test")
    with pytest.raises(ValueError, match=r"^path='nowhere\.txt' is not a file: set it to a text file$"):
        TextFile(path="nowhere.txt")
    data = text_file(tmp_path, "abc")
    data.path.write_bytes(b"abc\xe9 def")
    with pytest.raises(ValueError, match=r"text\.txt is not UTF-8, byte 3 is 0xe9: convert it$"):
        _ = data.vocab_size


def test_ends_of_lines_and_marks_of_byte_order_are_not_text(tmp_path: Path) -> None:
    data = text_file(tmp_path, "\ufeffab\r\ncd\n")
    assert data.read_text() == "ab\ncd\n"


def test_a_text_is_read_once_and_forgotten_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = text_file(tmp_path, "abcdefghij" * 100, context=9)
    read = Mock(wraps=data.read_text)
    monkeypatch.setattr(data, "read_text", read)
    assert data.vocab_size == 14
    data.setup("fit")
    data.setup("test")
    assert read.call_count == 1
    assert data._untaken == {}


def test_evaluation_deals_windows_to_the_processes(tmp_path: Path) -> None:
    data = text_file(tmp_path, "abcdefghij" * 100, context=9, val_size=0.333)
    windows = data.dataset("val")
    dealt = [list(data._evaluation_sampler(windows, num_replicas=3, rank=rank)) for rank in range(3)]
    assert sorted(chain.from_iterable(dealt)) == list(windows.starts)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_a_model_of_images_refuses_text_in_one_line(
    errors_of: Callable[[list[str]], list[str]], tmp_path: Path
) -> None:
    (line,) = errors_of(["fit", "--model=VAE", "--data=PythonDocs", f"--run.dir={tmp_path}"])
    assert line.startswith("error: data: PythonDocs has no image_shape, which VAE needs: choose other --data")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("TextFile", "path level merged_vocab context val_size test_size tokenizer batch_size num_workers"),
        ("PythonDocs", "level context tokenizer"),
        ("ParallelText", "root source target train val test max_length lowercase merged_vocab batch_tokens batch_size"),
        ("NumberWords", "highest direction train_size split_seed batch_tokens tokenizer"),
        ("RandomStrings", "task letters min_length max_length val_size"),
        ("AssociativeRecall", "pairs keys values length train_size split_seed tokenizer"),
    ],
)
def test_command_line_sees_every_argument(name: str, arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fit", "--data.help", name])
    text = capsys.readouterr().out
    for argument in arguments.split():
        assert f"--data.{argument} " in text
