import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from datamodules import NumberWords, RandomStrings
from datamodules.number_words import number_in_words
from datamodules.pairs import SequencePairs

WRITTEN = {
    0: "zero",
    1: "one",
    8: "eight",
    10: "ten",
    11: "eleven",
    12: "twelve",
    13: "thirteen",
    14: "fourteen",
    15: "fifteen",
    18: "eighteen",
    19: "nineteen",
    20: "twenty",
    21: "twenty-one",
    30: "thirty",
    40: "forty",
    44: "forty-four",
    50: "fifty",
    80: "eighty",
    90: "ninety",
    99: "ninety-nine",
    100: "one hundred",
    101: "one hundred one",
    110: "one hundred ten",
    219: "two hundred nineteen",
    999: "nine hundred ninety-nine",
    1000: "one thousand",
    1001: "one thousand one",
    1984: "one thousand nine hundred eighty-four",
    2020: "two thousand twenty",
    10_000: "ten thousand",
    12_345: "twelve thousand three hundred forty-five",
    70_016: "seventy thousand sixteen",
    100_000: "one hundred thousand",
    500_500: "five hundred thousand five hundred",
    999_999: "nine hundred ninety-nine thousand nine hundred ninety-nine",
}
SIZES: dict[str, int] = {"train_size": 60, "val_size": 20, "test_size": 21}
TASKS: list[tuple[type[SequencePairs], dict[str, Any]]] = [
    (NumberWords, {"highest": 100, "direction": "to_words"}),
    (NumberWords, {"highest": 999_999, "direction": "to_digits"}),
    (RandomStrings, {"letters": 3, "min_length": 2, "max_length": 6}),
    (RandomStrings, {"task": "copy"}),
]


@pytest.mark.parametrize("number", WRITTEN)
def test_numbers_are_called_what_they_are_called(number: int) -> None:
    assert number_in_words(number) == WRITTEN[number]


def test_no_two_numbers_have_one_name() -> None:
    assert len({number_in_words(number) for number in [*range(20_000), *range(0, 1_000_000, 97)]}) > 30_000 - 250


@pytest.mark.parametrize(("kind", "arguments"), TASKS)
def test_parts_are_disjoint_and_the_same_every_time(kind: type[SequencePairs], arguments: dict[str, Any]) -> None:
    data: Any = kind(**arguments, **SIZES)
    parts = [data.read_pairs(part)[0] for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [60, 20, 21]
    assert len(set().union(*parts)) == 101
    again: Any = kind(**arguments, **SIZES, seed=9)
    assert [again.read_pairs(part)[0] for part in ("train", "val", "test")] == parts
    other: Any = kind(**arguments, **SIZES, split_seed=1)
    assert other.read_pairs("train")[0] != parts[0]


@pytest.mark.parametrize(("kind", "arguments"), TASKS)
def test_all_parts_come_from_one_draw(
    kind: type[SequencePairs], arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data: Any = kind(**arguments, **SIZES)
    drawn = Mock(wraps=data.draw)
    monkeypatch.setattr(data, "draw", drawn)
    data.setup("fit")
    data.setup("test")
    assert drawn.call_count == 1


@pytest.mark.parametrize(("kind", "arguments"), TASKS)
def test_every_character_has_a_token_and_is_read_back(kind: type[SequencePairs], arguments: dict[str, Any]) -> None:
    data: Any = kind(**arguments, **SIZES)
    for part in ("train", "val", "test"):
        batch = data.dataset(part).__getitems__(range(5))
        sources, targets = data.read_pairs(part)
        assert [data.decode(row) for row in batch.source] == sources[:5]
        assert [data.decode(row) for row in batch.target] == targets[:5]


@pytest.mark.parametrize(("kind", "arguments"), TASKS)
def test_its_own_tokenizer_is_taken_and_another_refused(
    kind: type[SequencePairs], arguments: dict[str, Any], tmp_path: Path
) -> None:
    data: Any = kind(**arguments, **SIZES)
    path = tmp_path / "tokenizer.json"
    path.write_text(data.tokenizer_json(), encoding="utf-8")
    again: Any = kind(**arguments, **SIZES, tokenizer=str(path))
    assert again.vocab_size == data.vocab_size
    other = json.loads(data.tokenizer_json())
    other["model"]["vocab"]["#"] = data.vocab_size
    path.write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^tokenizer='.*' has not the tokens of {kind.__name__}: leave it out$"):
        kind(**arguments, **SIZES, tokenizer=str(path))


def test_directions() -> None:
    words = NumberWords(**SIZES).read_pairs("train")
    digits = NumberWords(**SIZES, direction="to_digits").read_pairs("train")
    assert words == digits[::-1]
    assert all(number_in_words(int(source)) == target for source, target in zip(*words, strict=True))


def test_numbers_are_drawn_evenly() -> None:
    numbers = [int(source) for source in NumberWords(train_size=9000).read_pairs("train")[0]]
    assert abs(sum(numbers) / 9000 - 500_000) < 10_000


def test_strings_are_reversed_or_copied() -> None:
    arguments: dict[str, Any] = {**SIZES, "letters": 5, "min_length": 3, "max_length": 7}
    sources, reverse = RandomStrings(**arguments).read_pairs("train")
    same, copy = RandomStrings(**arguments, task="copy").read_pairs("train")
    assert sources == same == copy
    assert all(list(target) == list(reversed(source)) for source, target in zip(sources, reverse, strict=True))
    assert {len(source) for source in sources} == {3, 4, 5, 6, 7}
    assert set("".join(sources)) == set("abcde")


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (NumberWords, {"highest": 1_000_000}, "highest=1000000 is impossible: choose a number from 0 to 999999"),
        (NumberWords, {"highest": 99, **SIZES}, "highest=99 leaves fewer numbers than the 101 of all parts: "),
        (NumberWords, {"direction": "up"}, "direction='up' is impossible: "),
        (NumberWords, {"train_size": 0}, "train_size=0 is impossible: choose 1 or more"),
        (NumberWords, {"val_size": -1}, "val_size=-1 is impossible: choose 0 or more"),
        (RandomStrings, {"task": "sort"}, "task='sort' is impossible: "),
        (RandomStrings, {"letters": 27}, "letters=27 is impossible: choose 26 or less"),
        (RandomStrings, {"min_length": 0}, "min_length=0 is impossible: choose 1 or more"),
        (RandomStrings, {"max_length": 3}, "max_length=3 is less than min_length=4: "),
        (
            RandomStrings,
            {**SIZES, "letters": 2, "min_length": 1, "max_length": 6},
            "letters=2 and max_length=6 make fewer than twice the 101 strings of all parts: increase one",
        ),
        (RandomStrings, {"letters": 1, "max_length": 500}, "letters=1 and max_length=500 make fewer than twice "),
    ],
)
def test_impossible_arguments_are_one_line(kind: type[SequencePairs], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        kind(**arguments)


def test_just_enough_and_very_many_strings() -> None:
    data = RandomStrings(**SIZES, letters=2, min_length=1, max_length=7)  # 254 strings for 101
    assert len(data.read_pairs("train")[0]) == 60
    assert len(RandomStrings(**SIZES, letters=26, min_length=400, max_length=400).read_pairs("val")[0][0]) == 400
