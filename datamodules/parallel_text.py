"""Your own translations: files in which line N of one language is line N of the other."""

from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from tokenizers import Tokenizer

from datamodules.pairs import SequencePairs, TokenPairs
from datamodules.resumable import Part, at_least
from datamodules.text_file import read_utf8
from datamodules.vocabulary import SMALLEST_MERGED, byte_pair_vocabulary, encode_all


class ParallelText(SequencePairs):
    """Sentences and their translations, one a line.

    ```
    root/train.de   root/train.en   root/val.de   root/val.en   root/test.de   root/test.en
    root/train.tsv                  root/val.tsv                root/test.tsv
    ```

    Either two files for each part, named after their languages, or one table with a tab between the columns and a
    header that names the columns `source` and `target`. The vocabulary is of merged bytes of both languages, made from
    the training part alone. Lines are stripped of blanks at their ends.

    Args:
        root: Folder of the files.
        source: Language to translate from: suffix of its files.
        target: Language to translate into: suffix of its files.
        train: Name of the training files without suffix, or of a table with its `.tsv`.
        val: Same of the validation part.
        test: Same of the test part.
        merged_vocab: Tokens of the vocabulary. Not used with `tokenizer`.
        lowercase: Make all letters small.
        max_length: Leave out training pairs with more tokens on either side; None leaves out none. The other parts keep
            theirs.
        **kwargs: See `SequencePairs`.

    Raises:
        ValueError: If a size is impossible, or the folder is missing.
    """

    def __init__(
        self,
        *,
        root: str,
        source: str = "de",
        target: str = "en",
        train: str = "train",
        val: str = "val",
        test: str = "test",
        merged_vocab: int = 10_000,
        lowercase: bool = False,
        max_length: int | None = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        at_least(SMALLEST_MERGED, merged_vocab=merged_vocab)
        if max_length is not None:
            at_least(1, max_length=max_length)
        if not (folder := Path(root)).is_dir():
            raise ValueError(f"root={root!r} is not a folder: set it to the folder of your translations")
        if source == target:
            raise ValueError(f"source={source!r} and target={target!r} are the same: choose two languages")
        self.root = folder
        self.source = source
        self.target = target
        self.names: dict[Part, str] = {"train": train, "val": val, "test": test}
        self.merged_vocab = merged_vocab
        self.lowercase = lowercase
        self.max_length = max_length
        self._untaken: dict[Part, tuple[list[str], list[str]]] = {}

    def encode(self, text: str) -> list[int]:
        """Writes a text in tokens, without beginning and end; in small letters if the data are."""
        return super().encode(text.lower() if self.lowercase else text)

    def make_vocabulary(self) -> Tokenizer:
        """Makes the vocabulary of both sides of the training part."""
        source, target = self._untaken["train"] = self.read_pairs("train")  # until they are written in tokens
        return byte_pair_vocabulary(source + target, self.merged_vocab)

    def read_pairs(self, part: Part) -> tuple[list[str], list[str]]:
        """Reads the sources and the targets of a part.

        Raises:
            ValueError: If a file is missing, empty or not UTF-8, or the two sides do not match.
        """
        name = self.names[part]
        read = self._read_table if name.endswith(".tsv") else self._read_two
        source, target = read(name)
        if not source:
            raise ValueError(f"{part}={name!r} has no pairs: choose other files")
        if self.lowercase:
            source, target = ([line.lower() for line in side] for side in (source, target))
        return source, target

    def encode_pairs(self, part: Part) -> TokenPairs:
        """Reads a part and writes it in tokens; leaves too long pairs out if it is the training part.

        Raises:
            ValueError: If it cannot be read, or no pair is left.
        """
        vocabulary = self.vocabulary  # first, as it may have to be made of what the training part is
        read = self._untaken.pop(part, None) or self.read_pairs(part)
        sides = (encode_all(vocabulary, texts) for texts in read)
        every = list(zip(*sides, strict=True))
        limit = self.max_length if part == "train" else None
        kept = every if limit is None else [pair for pair in every if max(map(len, pair)) <= limit]
        if not kept:
            raise ValueError(f"max_length={limit} leaves no training pair: choose a greater one")
        if left_out := len(every) - len(kept):
            rank_zero_warn(f"{left_out} of {len(every)} training pairs are longer than max_length={limit}: left out")
        source, target = zip(*kept, strict=True)
        return TokenPairs(source, target)

    def _read_two(self, name: str) -> tuple[list[str], list[str]]:
        source, target = (self._lines(f"{name}.{language}") for language in (self.source, self.target))
        if len(source) != len(target):
            raise ValueError(
                f"{name}.{self.source} has {len(source)} lines and {name}.{self.target} {len(target)}: line N of both "
                "must be the same sentence"
            )
        return source, target

    def _read_table(self, name: str) -> tuple[list[str], list[str]]:
        header, *rows = [line.split("\t") for line in self._lines(name)] or [[]]
        if missing := {"source", "target"} - set(header):
            raise ValueError(
                f"{name} has no column {' or '.join(map(repr, sorted(missing)))}: name it in the first line"
            )
        for number, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise ValueError(
                    f"{name} has {len(row)} columns in line {number} and {len(header)} in the first: mend it"
                )
        source, target = ([row[header.index(side)].strip() for row in rows] for side in ("source", "target"))
        return source, target

    def _lines(self, name: str) -> list[str]:
        path = self.root / name
        if not path.is_file():
            raise ValueError(f"root={str(self.root)!r} has no file {name}: add it, or change train, val or test")
        text = read_utf8(path)
        lines = text.removesuffix("\n").split("\n") if text else []  # other separators are part of a sentence
        return lines if name.endswith(".tsv") else [line.strip() for line in lines]
