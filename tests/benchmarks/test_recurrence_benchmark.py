"""The comparison of transformers and recurrent networks: what it runs, what it chooses by, and what it says."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from recorder import Recorder
from undrawn import undrawn

import networks
from benchmarks import attention_vs_recurrence, commands
from benchmarks.attention_vs_recurrence import main, parse
from benchmarks.contest_report import by_words, in_bins, speed_table, verdict
from benchmarks.contest_results import MEASURED, Outcome, Result, at_equal_steps, longer, outcome
from benchmarks.contests import NETWORKS, TASKS, Contest, Trial, contests, experiment, load
from benchmarks.stopwatch import FitSeconds

NLL = {0.5: 0.3, 1.0: 0.2, 2.0: 0.4}  # of validation, by the multiple of the rate
TESTED = {
    "test/token_accuracy": 0.75,
    "test/bits_per_character": 2.5,
    "test/exact_match": 0.5,
    "test/bleu": 30.0,
    "test/bleu_source_1_10": 33.0,
    "test/bleu_source_over_20": 11.0,
}

TALLY = {"2": [1, 4], "4": [4, 4], "6": [0, 4]}
MEASURES: dict[str, dict[str, Any]] = {
    "recall": {"tally": TALLY},
    "reverse": {"tally": TALLY},
    "language": {"gradients": [1.0, 0.5, 0.25]},
    "translation": {},
}


class ContestRecorder(Recorder):
    """Writes also seconds and validations; recurrent networks take half the seconds."""

    def __init__(self) -> None:
        super().__init__(TESTED)
        self.diverging: set[str] = set()
        self.most = 10**6  # commands before it is interrupted

    def __call__(self, *words: str) -> Any:  # type: ignore[override]
        if len(self.words) >= self.most:
            raise KeyboardInterrupt
        super().__call__(*words)
        return SimpleNamespace(model=None, datamodule=None)

    def write(self, stage: str, given: Mapping[str, str], folder: Path) -> None:
        super().write(stage, given, folder)
        if stage == "fit":
            if folder.name in self.diverging:
                (folder / "diverged.pt").touch()
                raise SystemExit(2)
            steps = int(given["--trainer.max_steps"])
            seconds = steps / (100 if "recurrent" in folder.name else 50)
            (folder / FitSeconds.FILE).write_text(json.dumps({"seconds": seconds}))
        if stage == "validate":
            name, network, rate, _, _ = folder.name.removeprefix("quick-").split("-")
            (contest,) = (one for one in contests(everything()) if one.name == name)
            (own,) = contest.rates(network, [1.0])
            (folder / "validate.json").write_text(json.dumps({"val/nll": NLL[round(float(rate) / own, 3)]}))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> ContestRecorder:
    recorder = ContestRecorder()
    monkeypatch.setattr(commands, "run_here", recorder)
    monkeypatch.setattr(attention_vs_recurrence, "measured", lambda task, *_: {"parameters": 1234, **MEASURES[task]})
    speeds = {"transformer": {"32": 200.0}, "recurrent": {"32": 100.0}}
    monkeypatch.setattr(attention_vs_recurrence, "write_speeds", lambda _, path: path.write_text(json.dumps(speeds)))
    return recorder


def everything(*words: str) -> argparse.Namespace:
    return parse(["--root=R", *words])


def given(words: tuple[str, ...] | list[str]) -> dict[str, str]:
    return dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)


def test_every_run_is_made_once_and_read_from_its_files(
    ran: ContestRecorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--dir={tmp_path}", "--root=R", "--seeds", "0", "1", "--steps=100"]
    main(words)
    fits = [given(words) for words in ran.words if words[0] == "fit"]
    assert len({fit["run.id"] for fit in fits}) == len(fits)
    # six contests: three rates and a second seed for each network, two longer runs of the faster; two networks as drawn
    assert len(fits) == 6 * (2 * (3 + 1) + 2) + 2 * 2
    text = capsys.readouterr().out
    rows = [line for line in text.splitlines() if line.startswith("| language")]
    assert rows[0] == (
        "| language | bits per character | transformer | 2.5 (2.5 to 2.5) | 1,234 | 0.004 | 100 | 2 (2 to 2) | 2 |"
    )
    assert [row.split(" | ")[6] for row in rows[:4]] == ["100", "100", "100", "200"]  # the last at equal time
    assert "| 4 to 7 | 50 (50 to 50) | 50 (50 to 50) |" in text  # 4 of 8
    assert "| 21 or more | 11 (11 to 11) | 11 (11 to 11) |" in text
    folder = tmp_path / "benchmark-attention-vs-recurrence"
    assert text.strip().endswith((folder / "table.md").read_text().strip())
    for name in ("distances", "lengths", "gradients", "speeds"):
        with Image.open(folder / f"{name}.png") as picture:
            picture.verify()
    count = len(ran.words)
    main(words)
    main([*words, "--report"])
    assert len(ran.words) == count


def test_rates_are_chosen_on_validation_data_before_anything_is_tested(ran: ContestRecorder, tmp_path: Path) -> None:
    main([f"--dir={tmp_path}", "--tasks", "reverse", "--seeds", "7", "--steps=100"])
    stages = [stage for stage in ran.stages if stage != "fit"]
    assert stages == ["validate"] * 6 + ["test"] * 3
    assert all("--trainer.limit_val_batches=1.0" in words for words in ran.words if words[0] == "validate")
    tested = {given(words)["run.id"] for words in ran.words if words[0] == "test"}
    assert tested == {
        "reverse-transformer-0.003-100-7",
        "reverse-recurrent-0.005-100-7",
        "reverse-recurrent-0.005-200-7",
    }
    assert all(given(words)["ckpt_path"].endswith("last.ckpt") for words in ran.words if words[0] != "fit")


@undrawn()
def test_what_was_interrupted_goes_on(ran: ContestRecorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--dir={tmp_path}", "--tasks", "language", "reverse", "--seeds=0", "--steps=40"]
    main([*words, "--report"])
    assert "Not at its end: language, reverse." in capsys.readouterr().out
    for most in (1, 2, 8, 13, 20):
        ran.most = most
        with pytest.raises(KeyboardInterrupt):
            main(words)
    ran.most = 10**6
    main(words)
    asked = [(words[0], given(words)["run.id"]) for words in ran.words]
    assert len(set(asked)) == len(asked)
    assert "Not at its end" not in capsys.readouterr().out


def test_a_rate_that_diverges_is_not_chosen(ran: ContestRecorder, tmp_path: Path) -> None:
    words = ["--tasks", "reverse", "--seeds=0", "--steps=40", f"--dir={tmp_path}"]
    ran.diverging = {"reverse-recurrent-0.005-40-0"}
    main(words)
    arguments = parse(words)
    (contest,) = contests(arguments)
    trials = at_equal_steps(contest, arguments)
    assert trials is not None
    assert [trial.rate for trial in trials["recurrent"]] == [0.0025]
    count = len(ran.words)
    main(words)
    assert len(ran.words) == count


def test_a_run_that_fails_otherwise_ends_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> None:
        raise SystemExit(2)

    monkeypatch.setattr(commands, "run_here", fail)
    with pytest.raises(SystemExit):
        main(["--tasks", "reverse", "--seeds=0", f"--dir={tmp_path}"])


@pytest.mark.parametrize("contest", contests(everything()), ids=lambda contest: contest.name)
def test_networks_meet_on_the_same_data_and_have_about_the_same_size(contest: Contest) -> None:
    ours, theirs = (contest.settings(network) for network in NETWORKS)
    clipping = [settings["trainer"].pop("gradient_clip_val") for settings in (ours, theirs)]
    own = [load(name)["trainer"].get("gradient_clip_val") for name in contest.configs]
    assert clipping == own
    assert ours["model"] != theirs["model"]
    assert {**ours, "model": None} == {**theirs, "model": None}
    sizes = []
    for settings in (ours, theirs):
        made = settings["model"]["init_args"]["network"]
        vocabulary = (10_000,) if contest.task == "translation" else (30,) if contest.task == "reverse" else (100, 64)
        network = getattr(networks, made["class_path"])(*vocabulary, **made["init_args"])
        sizes.append(sum(parameter.numel() for parameter in network.parameters()))
    assert max(sizes) < 1.4 * min(sizes)


def test_trials_differ_in_nothing_but_the_network_its_rate_and_length() -> None:
    arguments = everything("--dir=D")
    for contest in contests(arguments):
        shared = [
            {key: value for key, value in given(trial.words(arguments)).items() if key != "config"}
            for trial in (Trial(contest, network, 0.1, 50, 3) for network in NETWORKS)
        ]
        assert shared[0] == shared[1]
        assert shared[0]["seed_everything"] == "3"
        assert shared[0]["trainer.max_steps"] == "50"
    assert shared[0]["data.init_args.root"] == "R"


def test_runs_have_names_of_their_own_over_all_experiments() -> None:
    names = set()
    both = [everything(), everything("--quick")]
    trials = [(arguments, contest) for arguments in both for contest in contests(arguments)]
    for arguments, contest in trials:
        names.add(Trial(contest, "recurrent", 0.004, 600, 0).folder(arguments).name)
    assert len(names) == len(trials)
    assert experiment(both[0]) != experiment(both[1])


def test_tasks_are_those_that_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert {contest.task for contest in contests(parse([]))} == {*TASKS} - {"translation"}
    assert {contest.task for contest in contests(everything())} == {*TASKS}
    quick = contests(everything("--quick"))
    assert [contest.name for contest in quick if contest.task == "recall"] == ["recall_32", "recall_128"]
    for words, line in {
        ("--tasks", "translation"): "--tasks has translation: give --root",
        ("--rates", "0", "1"): "--rates is 0.0 1.0: give multiples above 0",
        ("--steps=0",): "--steps is 0: give 1 or more",
    }.items():
        with pytest.raises(SystemExit, match="2"):
            parse(list(words))
        assert line in capsys.readouterr().err


def test_steps_of_equal_time_are_counted_in_twentieths() -> None:
    assert longer(1000, 10.0, 10.0) == 1000
    assert longer(1000, 10.0, 10.2) == 1000  # what a clock does not tell from equal is the same run
    assert longer(1000, 10.0, 16.0) == 1600
    assert longer(1000, 10.0, 16.1) == 1600
    assert longer(7, 1.0, 2.0) == 14


def outcome_of(transformer: list[float], recurrent: list[float], higher_is_better: bool = True) -> Outcome:
    contest = contests(parse(["--tasks", "reverse"]))[0]
    contest = replace(contest, score=replace(contest.score, higher_is_better=higher_is_better))
    found = {
        network: {
            Trial(contest, network, 0.1, 9, seed): Result(value, 1.0, {}, {}) for seed, value in enumerate(values)
        }
        for network, values in zip(NETWORKS, (transformer, recurrent), strict=True)
    }
    return Outcome(contest, {}, found, found, {})


def test_verdicts_name_the_better_network_and_what_chance_may_have_done() -> None:
    said = verdict(outcome_of([90.0, 92.0], [80.0, 84.0]), "steps")
    assert said == (
        "reverse, equal steps: **transformer** is better by 9 (exact match, %: 91 against 82); "
        "the ranges over seeds do not overlap."
    )
    assert "**recurrent** is better by 9" in verdict(outcome_of([90.0, 92.0], [80.0, 84.0], False), "steps")
    assert verdict(outcome_of([90.0, 70.0], [80.0, 81.0]), "steps").endswith("the ranges over seeds overlap.")
    assert verdict(outcome_of([90.0], [80.0]), "steps").endswith("one seed, so what chance does is unknown.")
    assert "no difference, both have 80" in verdict(outcome_of([80.0, 80.0], [79.0, 81.0]), "steps")
    assert "which took both about as long" in verdict(outcome_of([90.0], [80.0]), "time")


def test_shares_are_those_of_all_answers_in_a_bin() -> None:
    tally = {1: [1, 1], 4: [0, 3], 5: [2, 2], 30: [1, 4]}
    assert in_bins(tally, 1) == {(1, 4): 0.25, (5, 8): 1.0, (29, 32): 0.25}
    assert in_bins(tally, 0) == {(0, 3): 1.0, (4, 7): 0.4, (28, 31): 0.25}
    assert by_words(TESTED) == {(1, 10): 33.0, (21, None): 11.0}


def test_speeds_name_the_faster_network() -> None:
    text = speed_table({"transformer": {"32": 300.0, "1024": 98.0}, "recurrent": {"32": 100.0, "1024": 100.0}})
    assert "| 32 | 300 | 100 | transformer, 3.0 times |" in text
    assert "| 1,024 | 98 | 100 | neither |" in text


@undrawn()
def test_real_networks_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contests.LENGTHS", (32,))
    words = [f"--dir={tmp_path}", "--tasks", "recall", "--seeds=0", "--rates=1", "--steps=2"]
    main(words)
    arguments = parse(words)
    (contest,) = contests(arguments)
    found = outcome(contest, arguments)
    assert found is not None
    for network in NETWORKS:
        (result,) = found.steps[network].values()
        right, there = (sum(counts) for counts in zip(*result.measured["tally"].values(), strict=True))
        assert result.score == pytest.approx(100 * right / there)  # the model was the one that was tested
        assert there == 8 * 1000
    assert "**" in (experiment(arguments) / "table.md").read_text()
    assert len(list(experiment(arguments).glob(f"*/{MEASURED}"))) in (2, 3)
