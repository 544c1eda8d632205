from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from datamodules.vocabulary import (
    byte_pair_vocabulary,
    character_vocabulary,
    characters_per_token,
    encode_all,
    encode_long,
    pieces_of,
    read_vocabulary,
    size_of,
    word_vocabulary,
)
from networks.tokens import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

PROSE = "The cat sat on the mat, and the rat sat on the cat.\n\nThat was that: <eos> naïve, 日本語 and 🙂.\n" * 3
MERGED = byte_pair_vocabulary([PROSE], 300)
KINDS = {"characters": character_vocabulary([PROSE]), "bpe": MERGED, "words": word_vocabulary(["one", "two"])}
TEXTS = st.text(st.sampled_from("abc  \n\t<eos>é日🙂")) | st.text()


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_their_numbers_in_every_vocabulary(kind: str) -> None:
    numbers = [KINDS[kind].token_to_id(token) for token in SPECIAL_TOKENS]
    assert numbers == [PAD, BOS, EOS, UNK] == [0, 1, 2, 3]


@given(TEXTS)
@example("<pad><bos><eos><unk>")
@example(" \n \r\n\x85\u2028 ")
def test_merged_bytes_write_any_text_and_no_special_token(text: str) -> None:
    (tokens,) = encode_all(MERGED, [text])
    assert MERGED.decode(tokens, skip_special_tokens=False) == text
    assert min(tokens, default=UNK + 1) > UNK


@given(st.text(st.sampled_from("abc \n\r\t<eos>é日🙂")))
def test_characters_are_written_one_by_one_and_read_back(text: str) -> None:
    tokenizer = character_vocabulary(["abc \n\r\t<eos>", "é日🙂"])
    (tokens,) = encode_all(tokenizer, [text])
    assert len(tokens) == len(text)
    assert tokenizer.decode(tokens, skip_special_tokens=False) == text
    assert encode_all(tokenizer, ["aZb"]) == [[tokenizer.token_to_id("a"), UNK, tokenizer.token_to_id("b")]]


def test_characters_are_numbered_in_order_behind_the_special_tokens() -> None:
    tokenizer = character_vocabulary(["ca", "b\na"])
    assert encode_all(tokenizer, ["\nabc"]) == [[4, 5, 6, 7]]
    assert size_of(tokenizer) == 8


def test_words_keep_their_order() -> None:
    tokenizer = KINDS["words"]
    assert encode_all(tokenizer, ["two one three"]) == [[5, 4, UNK]]
    assert tokenizer.decode([5, 4]) == "two one"


@given(st.lists(TEXTS | st.just("word " * 150), max_size=12).map("".join))
def test_long_texts_are_cut_where_no_token_is(text: str) -> None:
    assert "".join(pieces_of(text)) == text
    for tokenizer in (KINDS["characters"], MERGED):
        assert encode_long(tokenizer, text) == encode_all(tokenizer, [text])[0]


def test_long_texts_are_cut_at_all() -> None:
    assert 90 < len(pieces_of("twenty characters, ab\n" * 5000)) <= 110


def test_frequent_neighbours_are_merged() -> None:
    assert size_of(MERGED) == 300
    the = MERGED.token_to_id("Ġthe")  # the library writes a blank so
    assert the is not None
    assert encode_all(MERGED, [" the"]) == [[the]]
    assert size_of(byte_pair_vocabulary(["aaaa"], 300)) < 300  # nothing is left to merge


@given(TEXTS)
def test_characters_of_tokens_add_up_to_those_of_the_text(text: str) -> None:
    (tokens,) = encode_all(MERGED, [text])
    assert int(characters_per_token(MERGED)[tokens].sum()) == len(text)


def test_characters_of_special_tokens() -> None:
    for tokenizer in (KINDS["characters"], MERGED):
        assert characters_per_token(tokenizer)[:4].tolist() == [0, 0, 0, 1]
    assert characters_per_token(KINDS["characters"])[4:].unique().tolist() == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_vocabularies_survive_their_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(KINDS[kind].to_str(), encoding="utf-8")
    again = read_vocabulary(str(path))
    text = "one <eos> cat\n"
    assert again.get_vocab() == KINDS[kind].get_vocab()
    assert encode_all(again, [text]) == encode_all(KINDS[kind], [text])


def test_a_tokenizer_made_elsewhere_never_finds_special_tokens_in_a_text(tmp_path: Path) -> None:
    foreign = Tokenizer.from_str(MERGED.to_str())
    foreign.add_special_tokens(list(SPECIAL_TOKENS))
    foreign.enable_truncation(2)
    foreign.enable_padding(length=30)
    assert foreign.encode("<eos>").ids[0] == EOS
    path = tmp_path / "tokenizer.json"
    foreign.save(str(path))
    assert encode_all(read_vocabulary(str(path)), ["a <eos>"]) == encode_all(MERGED, ["a <eos>"])


def test_unusable_tokenizers_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ValueError, match=r"^tokenizer='.*tokenizer\.json' is not a file: "):
        read_vocabulary(str(path))
    for content in (b"", b"{}", b"\xff\xfe", b'{"model": 3}'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^tokenizer='.*' is not a tokenizer of the tokenizers library: .*\Z"):
            read_vocabulary(str(path))
    path.write_text(MERGED.to_str().replace('"<bos>":1', '"<s>":1'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^tokenizer='.*' has number None for <bos>, not 1: choose another file$"):
        read_vocabulary(str(path))
