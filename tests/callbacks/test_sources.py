"""Where settings were given, and what overrides what."""

from pathlib import Path

import pytest

from callbacks import SettingsError, check_command, read_settings
from callbacks.sources import flags


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_flags_with_and_without_equals() -> None:
    words = ["--a.b=1", "--c", "2", "--d", "--e", "-1", "-c", "x.yaml", "--f=a=b"]
    assert list(flags(words)) == [
        ("a.b", "1"),
        ("c", "2"),
        ("d", None),
        ("e", "-1"),
        ("config", "x.yaml"),
        ("f", "a=b"),
    ]


def test_later_sources_override_earlier_ones(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "trainer: {max_epochs: 1, devices: 2}")
    over = write(tmp_path / "over.yaml", "trainer: {max_epochs: 3}")
    given = read_settings([f"--config={base}", "--trainer.max_epochs=2", f"--config={over}", "--trainer.devices=4"])
    assert given.values == {"trainer": {"max_epochs": 3, "devices": "4"}}
    assert given.origins == {"trainer.max_epochs": over, "trainer.devices": "--trainer.devices"}


def test_flags_may_leave_init_args_out_and_files_may_not(tmp_path: Path) -> None:
    base = write(
        tmp_path / "base.yaml", "model: {class_path: VAE, latent_dim: 3, init_args: {encoder: {class_path: A}}}"
    )
    given = read_settings([f"--config={base}", "--model.beta=2", "--model.encoder.hidden=[1, 2]"])
    assert given.values["model"] == {
        "class_path": "VAE",
        "latent_dim": 3,
        "init_args": {"encoder": {"class_path": "A", "init_args": {"hidden": [1, 2]}}, "beta": "2"},
    }
    assert given.origin("model.init_args.encoder.init_args.hidden") == "--model.encoder.hidden"


def test_another_class_inherits_what_was_given() -> None:
    given = read_settings(["--model=VAE", "--model.beta=2", "--model.latent_dim=3", "--model=AE", "--model.beta=4"])
    assert given.values["model"]["class_path"] == "AE"
    assert given.inherited == {"model.init_args.latent_dim"}
    assert given.origin("model.class_path") == "--model"


def test_the_same_class_by_its_full_name_is_no_other() -> None:
    given = read_settings(["--model=lit_models.vae.VAE", "--model.beta=2", "--model=VAE"])
    assert given.inherited == set()


def test_null_replaces_a_class(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "model: {class_path: VAE, init_args: {scheduler: {class_path: StepLR}}}")
    given = read_settings([f"--config={base}", "--model.scheduler=null"])
    assert given.values["model"]["init_args"] == {"scheduler": None}
    assert given.origins["model.init_args.scheduler"] == "--model.scheduler"
    assert "model.init_args.scheduler.class_path" not in given.origins


def test_a_plus_appends_and_later_flags_are_about_the_last() -> None:
    given = read_settings(["--trainer.callbacks+=A", "--trainer.callbacks+=B", "--trainer.callbacks.patience=3"])
    assert given.values["trainer"]["callbacks"] == ["A", {"class_path": "B", "init_args": {"patience": "3"}}]


def test_all_unreadable_files_are_named(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.yaml", "a: [")
    with pytest.raises(SettingsError) as raised:
        read_settings(["--config=missing.yaml", f"--config={bad}"])
    assert [problem.split()[1] for problem in raised.value.problems] == ["'missing.yaml'", f"'{bad}'"]


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["fit"], ["fit", "--help"]])
def test_commands_that_may_be_asked_for(words: list[str]) -> None:
    check_command(words, ["fit", "test"])


@pytest.mark.parametrize(
    ("words", "said"), [([], "fit, test"), (["fot"], "'fit'"), (["xyz"], "choose one of fit, test")]
)
def test_commands_that_there_are_not(words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_command(words, ["fit", "test"])
