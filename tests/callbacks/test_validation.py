"""Finding every mistake in the given settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonargparse import ArgumentParser

from callbacks import SettingsCheck, read_settings
from callbacks.validation import get_literals


class Part:
    """A base of parts."""


class Wheel(Part):
    """A part with a size."""

    def __init__(self, radius: float, spokes: int = 8, tags: list[str] | None = None) -> None:
        self.radius = radius


class Frame(Part):
    """A part that takes another one, and arguments of its base."""

    def __init__(self, colour: Literal["red", "blue"] = "red", **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Racing(Frame):
    """A frame whose arguments are all those of its base."""

    def __init__(self, light: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Bicycle:
    """Made of parts."""

    def __init__(
        self,
        front: Part,
        name: str = "bicycle",
        maker: Callable[[float], Part] | None = None,
        extras: list[Part] | None = None,
    ) -> None:
        self.front = front


def look(*words: str, linked: dict[str, str] | None = None) -> SettingsCheck:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Bicycle, "bike")
    parser.add_argument("--count", type=int, default=1)
    check = SettingsCheck(read_settings(list(words)), linked or {}, needed=())
    check.run(parser)
    return check


FRONT = ["--bike.front=Wheel", "--bike.front.radius=2"]


@pytest.mark.parametrize(
    "words",
    [
        FRONT,
        [*FRONT, "--bike.front.spokes=4", "--count=3", "--bike.name=3"],
        [*FRONT, "--bike.front.tags=[a, b]"],
        [*FRONT, "--bike.maker=Wheel", "--bike.maker.spokes=3"],  # its caller supplies the radius
        [*FRONT, "--bike.extras+=Frame", "--bike.extras.colour=blue", "--bike.extras+=Racing"],
        ["--bike.front=Racing", "--bike.front.colour=blue"],  # an argument of the base, through **kwargs
        [*FRONT, "--bike.maker=null"],
    ],
)
def test_what_is_right_gets_no_line(words: list[str]) -> None:
    assert look(*words).problems == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--bike.front=Wheel"], "bike.front.init_args.radius: is needed and has no default, give it a value"),
        ([], "bike.front: is needed and has no default, give it a value"),
        (
            [*FRONT, "--bike.front.spoks=3"],
            "bike.front.init_args.spoks: there is no such setting, did you mean 'spokes'?",
        ),
        ([*FRONT, "--bike.front.spokes=x"], "bike.front.init_args.spokes: 'x' is not of type int"),
        ([*FRONT, "--bike.front.tags=3"], "bike.front.init_args.tags: '3' is not of type list[str] or null"),
        ([*FRONT, "--bike.maker=Weel"], "bike.maker: there is no class 'Weel', did you mean 'Wheel'?"),
        ([*FRONT, "--bike.maker=3"], "bike.maker: there is no class '3'"),
        ([*FRONT, "--bike.extras+=Fame"], "bike.extras[0]: there is no class 'Fame', did you mean 'Frame'?"),
        ([*FRONT, "--spokes=3"], "spokes: there is no such setting, did you mean 'bike.front.init_args.spokes'?"),
        ([*FRONT, "--zzz=3"], "zzz: there is no such setting"),
        ([*FRONT, "--count.of=3"], "count: {'of': '3'} is not of type int"),
        ([*FRONT, "--bike.maker={init_args: {spokes: 3}}"], "bike.maker.class_path: is needed"),
    ],
)
def test_what_is_wrong_gets_one_line(words: list[str], problem: str) -> None:
    (line,) = look(*words).problems
    assert line.startswith(problem)


def test_a_file_has_to_put_arguments_under_init_args(tmp_path: Path) -> None:
    path = tmp_path / "bike.yaml"
    path.write_text("bike: {front: {class_path: Wheel, init_args: {radius: 1}, spokes: 3}}")
    assert look(f"--config={path}").problems == ["bike.front.spokes: put it under init_args of bike.front"]


def test_linked_settings_are_neither_given_nor_needed() -> None:
    linked = {"bike.front.init_args.radius": "count"}
    assert look("--bike.front=Wheel", linked=linked).problems == []
    assert look(*FRONT, linked=linked).problems == ["bike.front.init_args.radius: follows count, leave it out"]


def test_what_another_class_had_is_a_warning() -> None:
    check = look(*FRONT, "--bike.front=Frame")
    assert check.problems == []
    assert check.warnings == [
        "bike.front.init_args.radius has no effect: the class that was chosen later has no such setting"
    ]


def test_defaults_are_those_of_the_chosen_classes() -> None:
    defaults = look(*FRONT).defaults
    assert defaults["bike.front.init_args.spokes"] == 8
    assert defaults["bike.name"] == "bicycle"
    assert "bike.front.init_args.colour" not in defaults


def test_literals_of_a_union() -> None:
    assert get_literals(Literal["a", "b"] | Literal[3] | None) == ["a", "b", 3]
