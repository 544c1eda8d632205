"""The comparison of techniques of domain adaptation: what it runs, what it skips, and what it prints."""

from pathlib import Path

import pytest
import yaml
from recorder import Recorder

import cli
from benchmarks import adaptation, commands
from benchmarks.adaptation import PAIRS, TECHNIQUES, Row, changes, gap_closed, parse, table

ROOT = Path(__file__).parent.parent.parent


def result(accuracy: float) -> dict[str, float]:
    of_validation = {"selected": accuracy, "last": accuracy - 0.1, "best": accuracy + 0.1}
    return {"test/target_accuracy": accuracy, **{f"oracle/{k}_accuracy": v for k, v in of_validation.items()}}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder(result(0.5))
    monkeypatch.setattr(commands, "run_here", recorder)
    return recorder


def test_every_run_has_the_same_steps_and_is_made_once(ran: Recorder, tmp_path: Path) -> None:
    words = [f"--dir={tmp_path}", "--steps=40", "--validations=4", "--seeds", "0", "1"]
    adaptation.main(words)
    fits = [words for words in ran.words if words[0] == "fit"]
    assert len(fits) == len(PAIRS) * len(TECHNIQUES) * 2
    for budget in ("--trainer.max_epochs=4", "--trainer.limit_train_batches=10"):
        assert all(budget in words for words in fits)
    assert not any("limit_test" in word for words in ran.words for word in words)
    count = len(ran.words)
    adaptation.main(words)
    assert len(ran.words) == count


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_configurations_agree_on_everything_but_the_technique(technique: str) -> None:
    one, other = (
        yaml.safe_load((ROOT / "configs" / name / "mnist.yaml").read_text()) for name in (technique, "source_only")
    )
    for part in ("extractor", "classifier"):
        assert one["model"]["init_args"][part] == other["model"]["init_args"][part]
    assert one["data"]["init_args"] == other["data"]["init_args"]
    assert (one["checkpoint"], one["trainer"]) == (other["checkpoint"], other["trainer"])


def test_domains_of_a_pair_are_named_with_their_folders() -> None:
    arguments = parse(["--root=R", "--photos=P"])
    words = changes(Row("mnist-mnistm", "dann", 3), arguments)
    assert "--data.init_args.source=MNIST" in words
    assert "--data.init_args.target=MNISTM" in words
    assert "--data.init_args.target.init_args.photos=P" in words
    assert "--seed_everything=3" in words
    words = changes(Row("usps-mnist", "dann", 3), arguments)
    assert "--data.init_args.source.init_args.image_size=28" in words
    assert not any("photos" in word for word in words)


@pytest.mark.parametrize("augmented", [[], ["source"], ["source", "target"]])
def test_the_images_of_the_named_domains_are_augmented(
    augmented: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = parse(["--augment", *augmented] if augmented else [])
    with pytest.raises(SystemExit, match="0"):
        cli.main(["fit", *changes(Row("mnist-usps", "dann", 0), arguments), "--print_config"])
    data = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]
    for domain in ("source", "target"):
        transforms = data[domain]["init_args"]["augmentation"]
        assert (transforms is not None) == (domain in augmented)
        for transform in transforms or []:
            assert transform["class_path"].endswith("RandomAffine")
            assert transform["init_args"]["scale"] == [0.7, 1.3]


def test_runs_of_other_images_are_in_other_folders() -> None:
    choices = ([], ["--augment", "source"], ["--augment", "target"], ["--augment", "target", "source"])
    folders = {adaptation.folder(Row("mnist-usps", "dann", 0), parse(words)) for words in choices}
    assert len(folders) == len(choices)


def test_table_says_what_is_gained_and_what_did_harm() -> None:
    arguments = parse(["--pairs", "mnist-usps", "--techniques", "source_only", "dann", "mcd", "target_only"])
    accuracies = {"source_only": (0.5, 0.7), "dann": (0.7, 0.9), "mcd": (0.4, 0.5), "target_only": (1.0, 1.0)}
    found = {
        Row("mnist-usps", name, seed): result(value) | {"seconds": 10.0}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    }
    text = table(found, arguments)
    dann = next(line for line in text.splitlines() if line.startswith("| dann"))
    cells = [cell.strip() for cell in dann.strip("|").split("|")]
    assert cells[1:4] == ["2", "80.0 (70.0 to 90.0)", "50%"]
    assert [cell.split()[0] for cell in cells[4:7]] == ["80.0", "70.0", "90.0"]
    assert "**mcd did harm on mnist-usps**: 45.0%, and the source alone 60.0%." in text
    assert "dann did harm" not in text


def test_gap_needs_both_ends() -> None:
    assert gap_closed([0.75], [0.5], [1.0]) == "50%"
    assert gap_closed([0.4], [0.5], [1.0]) == "-20%"
    assert gap_closed([0.75], None, [1.0]) == gap_closed([0.75], [0.5], None) == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--steps=10", "--validations=3"], "--steps is 10: give a multiple of --validations, 3"),
        (["--validations=0"], "--validations is 0: give 1 or more"),
    ],
)
def test_impossible_lengths_are_named(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(words)
    assert line in capsys.readouterr().err
