"""Comparing configurations."""

from callbacks import differences


def test_equal_settings_have_no_differences() -> None:
    assert differences({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}) == []


def test_differences_name_the_dotted_key_and_both_values() -> None:
    old = {"model": {"class_path": "VAE", "init_args": {"beta": 1.0}}, "data": {"x": 1}}
    new = {"model": {"class_path": "VAE", "init_args": {"beta": 2.0}}, "data": {"y": 1}}
    assert differences(old, new) == [
        "data.x: 1 -> (not set)",
        "data.y: (not set) -> 1",
        "model.init_args.beta: 1.0 -> 2.0",
    ]


def test_none_is_a_value() -> None:
    assert differences({"scheduler": None}, {"scheduler": {"lr": 1}}) == [
        "scheduler: None -> (not set)",
        "scheduler.lr: (not set) -> 1",
    ]
