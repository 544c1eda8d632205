"""Vocabularies: characters, words of a task, or byte pairs, all in the one file format of the `tokenizers` library."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from networks.tokens import SPECIAL_TOKENS, UNK

# threads of the library that were started before a fork would be waited for after it
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SMALLEST_MERGED = 256 + len(SPECIAL_TOKENS)
"""Tokens of a vocabulary of bytes before anything is merged."""

_PIECE = re.compile(r".{1,1000}.*?(?:(?<=\S)(?=\n)|\Z)", re.DOTALL)  # cut where no pre-token goes on


def character_vocabulary(characters: Iterable[str]) -> Tokenizer:
    """Makes one token of each character; what is not among them becomes `UNK`.

    Args:
        characters: Strings, whose characters are the vocabulary, in order of their code points.
    """
    tokenizer = _of_words(sorted(set().union(*characters)))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def word_vocabulary(words: Sequence[str]) -> Tokenizer:
    """Makes one token of each word; texts are words with blanks between them.

    Args:
        words: Different from each other; their numbers follow this order.
    """
    tokenizer = _of_words(words)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def byte_pair_vocabulary(texts: Iterable[str], size: int) -> Tokenizer:
    """Merges the bytes that are frequently neighbours until there are `size` tokens, or nothing left to merge.

    Every text can be written in it and read back exactly, because the 256 bytes are tokens themselves.

    Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (ACL 2016); on
    bytes as Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).

    Args:
        texts: What the merges are counted in.
        size: Number of tokens, `SMALLEST_MERGED` at least.
    """
    assert size >= SMALLEST_MERGED
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    plain = json.loads(tokenizer.to_str())
    plain["added_tokens"] = []  # else a text that holds the name of a special token would hold the token
    return Tokenizer.from_str(json.dumps(plain))


def read_vocabulary(path: str) -> Tokenizer:
    """Reads a `tokenizer.json` whose special tokens are those of `networks.tokens`.

    Raises:
        ValueError: If there is no such file, it is no tokenizer, or its special tokens have other numbers.
    """
    if not Path(path).is_file():
        raise ValueError(f"tokenizer={path!r} is not a file: set it to a tokenizer.json")
    try:
        tokenizer = Tokenizer.from_str(Path(path).read_text(encoding="utf-8"))
    except Exception as error:  # the library raises nothing more specific
        raise ValueError(f"tokenizer={path!r} is not a tokenizer of the tokenizers library: {error}") from error
    for number, token in enumerate(SPECIAL_TOKENS):
        if (found := tokenizer.token_to_id(token)) != number:
            raise ValueError(f"tokenizer={path!r} has number {found} for {token}, not {number}: choose another file")
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Writes each text in tokens, without beginning and end."""
    return [list(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def encode_long(tokenizer: Tokenizer, text: str) -> list[int]:
    """Writes a text in tokens, piece by piece, which takes half the time and little memory."""
    return [token for piece in encode_all(tokenizer, pieces_of(text)) for token in piece]


def pieces_of(text: str) -> list[str]:
    """Cuts a text into pieces of about 1,000 characters, before ends of lines that end a word.

    No token of characters, words or merged bytes goes on there.
    """
    return _PIECE.findall(text)


def size_of(tokenizer: Tokenizer) -> int:
    """Returns the number of tokens, which are numbered from 0."""
    return max(tokenizer.get_vocab().values()) + 1


def characters_per_token(tokenizer: Tokenizer) -> Tensor:
    """Counts the characters that begin in each token.

    A character of several bytes may be divided among tokens: it belongs to the token of its first byte, that is, bytes
    that continue a character in UTF-8 are not counted. `UNK` stands for one character, the other special tokens for
    none.

    Returns:
        int64 (V,).
    """
    count = torch.zeros(size_of(tokenizer), dtype=torch.int64)
    byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
    continuing = _continuation_bytes() if byte_level else frozenset()
    for token, number in tokenizer.get_vocab().items():
        text = token if byte_level else tokenizer.decode([number], skip_special_tokens=False)
        count[number] = sum(character not in continuing for character in text)
    count[: len(SPECIAL_TOKENS)] = 0
    count[UNK] = 1
    return count


def _of_words(words: Sequence[str]) -> Tokenizer:
    numbers = {word: number for number, word in enumerate([*SPECIAL_TOKENS, *words])}
    return Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL_TOKENS[UNK]))


def _continuation_bytes() -> frozenset[str]:
    """What bytes 0x80 to 0xBF are written as in byte-level tokens: the second bytes of U+0080 to U+00BF."""
    text = "".join(map(chr, range(0x80, 0xC0)))
    written = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return frozenset("".join(piece for piece, _ in written)[1::2])
