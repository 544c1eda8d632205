"""The benchmark of pretraining: what it runs, what it skips, and what it prints and draws."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread
from recorder import Recorder
from undrawn import undrawn

from benchmarks import commands, pretraining, pretraining_plan
from benchmarks.pretraining_plan import Cell, Stack
from benchmarks.pretraining_report import draw_gradients, draw_losses, mean_curves, read_metrics, thinned

LAYERS = ("layer1", "layer2", "layer3", "layer4", "layer5", "head")
SMALL = ["--kinds", "none", "rbm", "--activations", "sigmoid", "--depths", "1", "3", "--budgets", "100", "all"]


class FittingRecorder(Recorder):
    """Writes what a training would log and a validation would find, too."""

    def write(self, stage: str, given: Mapping[str, str], folder: Path) -> None:
        super().write(stage, given, folder)
        if stage == "fit" and "--pretraining.epochs" not in given:
            depth = len(json.loads(given.get("--model.init_args.layers", "[]")))
            fake_metrics(folder, depth, int(given["--trainer.max_steps"]))
        if stage == "validate":
            (folder / "validate.json").write_text(json.dumps({"val/accuracy": 0.875}))

    def fits(self, kind: str) -> list[dict[str, str]]:
        """Words of the trainings whose folder begins so."""
        given = [dict(word.split("=", 1) for word in words[1:]) for words in self.words if words[0] == "fit"]
        return [words for words in given if words["--run.id"].startswith(kind)]


def fake_metrics(folder: Path, depth: int, steps: int) -> None:
    """Losses that fall, and gradients that are ten times smaller in each layer below the head."""
    names = [*LAYERS[:depth], "head"]
    lines = [",".join(["step", "epoch", "train/total", *(f"gradient/{name}" for name in names)])]
    for step in range(9, steps, 10):
        sizes = [10.0 ** (place - depth) * (1 + step / steps) for place in range(len(names))]
        lines.append(",".join(map(str, [step, 0, 2.3 * math.exp(-4 * step / steps), *sizes])))
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> FittingRecorder:
    one = FittingRecorder({"test/accuracy": 0.875})
    monkeypatch.setattr(commands, "run_here", one)
    monkeypatch.setattr(pretraining, "run_here", one)
    return one


@undrawn()
def test_one_pretraining_serves_all_depths_and_budgets(ran: FittingRecorder, tmp_path: Path) -> None:
    pretraining.main([f"--dir={tmp_path}", "--seeds", "0", "1"])
    stacks = ran.fits("stack-")
    of_one_seed = [f"stack-{kind}-sigmoid-5x5-0" for kind in ("autoencoder", "denoising", "sparse", "rbm")]
    of_one_seed += [f"stack-{kind}-relu-5x5-0" for kind in ("autoencoder", "denoising")]
    ids = [words["--run.id"] for words in stacks]
    assert ids == of_one_seed + [name[:-1] + "1" for name in of_one_seed]
    for words in stacks:
        assert words["--trainer.max_epochs"] == "25"
        assert "--data.init_args.train_per_class" not in words
    for kind, count in {"none": 64, "autoencoder": 64, "denoising": 64, "sparse": 32, "rbm": 32}.items():
        trained = ran.fits(kind)
        assert len(trained) == count
        for words in trained:
            activation = "relu" if "-relu-" in words["--run.id"] else "sigmoid"
            source = tmp_path / "benchmark-pretraining" / f"stack-{kind}-{activation}-5x5-{words['--seed_everything']}"
            last = words.get("--model.init_args.pretrained")
            assert last == (None if kind == "none" else str(source / "checkpoints" / "last.ckpt"))
            assert "--pretraining.epochs" not in words


def test_kinds_differ_in_nothing_but_the_layers_and_their_beginning(ran: FittingRecorder, tmp_path: Path) -> None:
    pretraining.main([f"--dir={tmp_path}", "--seeds=0", "--depths=3", "--budgets=100", "--activations=sigmoid"])
    none, *others = (ran.fits(kind)[0] for kind in ("none", "autoencoder", "denoising", "sparse", "rbm"))
    may_differ = {"--run.id", "--model.init_args.layers", "--model.init_args.pretrained"}
    for other in others:
        assert {name for name in none.keys() | other.keys() if none.get(name) != other.get(name)} <= may_differ
    layers = json.loads(others[-1]["--model.init_args.layers"])
    assert layers == 3 * [{"class_path": "BinaryRBM", "init_args": {"units": 256}}]


def test_layers_reconstruct_what_lies_in_no_interval_by_squared_error() -> None:
    def of(activation: str) -> list[str | None]:
        words = Stack("denoising", activation, 0).model(3)[1].partition("=")[2]
        return [layer["init_args"].get("reconstruction") for layer in json.loads(words)]

    assert of("relu") == [None, "mse", "mse"]
    assert of("sigmoid") == [None, None, None]


@pytest.mark.parametrize(
    ("budget", "per_class", "batch_size", "steps"),
    [("100", "10", "10", "500"), ("1000", "100", "100", "1000"), ("10000", "1000", "100", "2000")],
)
def test_few_labels(
    budget: str, per_class: str, batch_size: str, steps: str, ran: FittingRecorder, tmp_path: Path
) -> None:
    pretraining.main([f"--dir={tmp_path}", "--kinds=none", "--seeds=3", "--depths=1", f"--budgets={budget}"])
    words = ran.fits("none")[0]
    assert words["--data.init_args.train_per_class"] == per_class
    assert words["--data.init_args.split_seed"] == words["--seed_everything"] == "3"
    assert words["--data.init_args.batch_size"] == batch_size
    assert words["--trainer.max_steps"] == steps
    assert words["--trainer.limit_val_batches"] == "0"


@undrawn()
def test_what_was_tested_is_not_trained_again(
    ran: FittingRecorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--dir={tmp_path}", *SMALL, "--seeds=0"]
    pretraining.main(words)
    first = capsys.readouterr().out
    assert len(ran.words) == 1 + 2 * 8
    pretraining.main(words)
    assert len(ran.words) == 1 + 2 * 8
    assert first.endswith(capsys.readouterr().out)
    (tmp_path / "benchmark-pretraining" / "none-sigmoid-3-all-sgd-0.1-4000-0" / "test.json").unlink()
    pretraining.main(words)
    assert [words[0] for words in ran.words[17:]] == ["test"]
    for change in (["--rate=0.5"], ["--optimizer=adam"], ["--steps", "7", "8"]):
        before = len(ran.words)
        pretraining.main([*words, *change])
        assert [words[0] for words in ran.words[before:]] == 8 * ["fit", "test"]


def test_rates_are_chosen_on_validation(
    ran: FittingRecorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretraining.main([f"--dir={tmp_path}", *SMALL, "--seeds=0", "--part=val", "--rate=0.5"])
    asked = [words for words in ran.words if words[0] != "fit"]
    assert {words[0] for words in asked} == {"validate"}
    assert all("--trainer.limit_val_batches=1.0" in words for words in asked)
    assert "Error of validation in %" in capsys.readouterr().out


def test_the_tables_and_pictures(ran: FittingRecorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--dir={tmp_path}", *SMALL, "--seeds", "0", "1"]
    pretraining.main(words)
    folder = tmp_path / "benchmark-pretraining"
    (folder / "rbm-3x5-sigmoid-3-100-sgd-0.1-500-1" / "test.json").write_text('{"test/accuracy": 0.775}')
    (folder / "none-sigmoid-1-all-sgd-0.1-4000-0" / "test.json").unlink()
    (folder / "none-sigmoid-1-all-sgd-0.1-4000-1" / "test.json").unlink()
    capsys.readouterr()
    pretraining.main([*words, "--report"])
    out = capsys.readouterr().out
    assert (folder / "table.md").read_text() == out
    lines = out.splitlines()
    assert lines[0] == "Error of test in %, sigmoid units, seeds 0, 1:"
    assert lines[2] == "| pretraining | hidden layers | 100 labels | all labels |"
    same = "12.5 (12.5 to 12.5)"
    assert lines[4:8] == [
        f"| none | 1 | {same} |  |",
        f"| none | 3 | {same} | {same} |",
        f"| rbm | 1 | {same} | {same} |",
        f"| rbm | 3 | 17.5 (12.5 to 22.5) | {same} |",
    ]
    assert "after 10 steps and mean of all, sigmoid units, all labels" in lines[9]
    assert lines[11] == "| pretraining | layer1 | layer2 | layer3 | head |"
    assert lines[13] == "| none | 1.0e-03, 1.5e-03 | 1.0e-02, 1.5e-02 | 1.0e-01, 1.5e-01 | 1.0e+00, 1.5e+00 |"
    for name in ("learning_curves", "gradients"):
        assert imread(folder / f"{name}.png").std() > 0.01


def test_the_panels_of_the_pictures(tmp_path: Path) -> None:
    cells = {}
    for activation, kinds in (("sigmoid", ("none", "autoencoder", "rbm")), ("relu", ("none", "autoencoder"))):
        for kind in kinds:
            for budget in ("100", "all"):
                cell = Cell(Stack(kind, activation, 0), 5, budget)
                cells[cell] = tmp_path / f"{activation}-{kind}-{budget}"
                cells[cell].mkdir()
                fake_metrics(cells[cell], 5, 500)
    curves = mean_curves(cells)
    losses = draw_losses(curves).axes
    assert [axes.get_title() for axes in losses] == [
        f"{activation}, {budget} labels" for activation in ("sigmoid", "relu") for budget in ("100", "all")
    ]
    assert [len(axes.lines) for axes in losses] == [3, 3, 2, 2]
    gradients = draw_gradients(curves).axes
    assert [axes.get_title().split(",")[0] for axes in gradients] == [
        *("sigmoid", "none", "autoencoder", "rbm"),
        *("relu", "none", "autoencoder"),
    ]
    assert [len(axes.lines) for axes in gradients] == [3, 6, 6, 6, 2, 6, 6]
    assert list(gradients[0].lines[0].get_ydata()) == pytest.approx([10.0**place * 1.018 for place in range(-5, 1)])


def test_curves_are_means_over_seeds_of_the_steps_that_all_have(tmp_path: Path) -> None:
    cells: dict[Cell, Path] = {}
    for seed, rows in enumerate((["9,0,1.0", "19,0,3.0"], ["9,0,2.0"])):
        cells[Cell(Stack("none", "relu", seed), 1, "100")] = folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "metrics.csv").write_text("\n".join(["step,epoch,train/total", *rows]))
    cells[Cell(Stack("none", "relu", 2), 1, "100")] = tmp_path / "not begun"
    (curves,) = mean_curves(cells).values()
    assert curves == {"train/total": ([9], [1.5])}


def test_thinned_curves_keep_their_mean() -> None:
    assert thinned(([1, 2, 3], [4.0, 5.0, 9.0])) == ([1, 2, 3], [4.0, 5.0, 9.0])
    steps, values = thinned((list(range(80)), [float(step) for step in range(80)]))
    assert steps == values == [2 * place + 0.5 for place in range(40)]


def test_a_file_without_some_values(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,epoch,a,b\n3,0,1.5,\n7,0,2.5,4\n")
    assert read_metrics(tmp_path / "metrics.csv") == {"a": ([3, 7], [1.5, 2.5]), "b": ([7], [4.0])}
    assert read_metrics(tmp_path / "none.csv") == {}


@undrawn()
def test_quick_is_a_part_of_all(ran: FittingRecorder, tmp_path: Path) -> None:
    pretraining.main([f"--dir={tmp_path}", "--quick"])
    assert len(ran.fits("stack-")) == 6
    assert len(ran.words) == 6 + 2 * 8 * 4
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark-pretraining-quick"}


@undrawn()
def test_a_few_real_steps(mnist_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--depths=2", "--budgets=100", "--steps=20", "--epochs=1", "--seeds=0"]
    words += [f"--root={mnist_root}", f"--dir={tmp_path}"]
    pretraining.main([*words, "--kinds", "none", "rbm", "--activations=sigmoid"])
    pretraining.main([*words, "--kinds", "none", "denoising", "--activations=relu", "--part=val"])
    tables = capsys.readouterr().out.split("Error of ")
    for table in tables[1:]:
        errors = [line.split(" | ") for line in table.splitlines() if " | 2 | " in line]
        assert len(errors) == 2
        assert all(0 < float(cells[-1].strip(" |")) <= 100 for cells in errors)
    experiment = tmp_path / "benchmark-pretraining"
    names = read_metrics(experiment / "rbm-2x1-sigmoid-2-100-sgd-0.1-20-0" / "metrics.csv")
    assert [names[f"gradient/{layer}"][0] for layer in ("layer1", "layer2", "head")] == 3 * [[9, 19]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--budgets=105"], "--budgets has 105: give multiples of 10, or all"),
        (["--budgets=some"], "--budgets has some: give multiples of 10, or all"),
        (["--budgets=200"], "--budgets has 200: give --steps, too"),
        (["--budgets=100", "--steps", "5", "6"], "--steps has 2 numbers: give one for each of 1 budgets"),
        (["--depths", "1", "0"], "--depths is 0: give 1 or more"),
        (["--processes=0"], "--processes is 0: give 1 or more"),
        (["--kinds=vae"], "invalid choice: 'vae'"),
    ],
)
def test_wrong_words(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        pretraining.main(words)
    assert says in capsys.readouterr().err


def test_rates_are_there_for_every_pair() -> None:
    pairs: set[Any] = {(a, o) for a in pretraining_plan.ACTIVATIONS for o in pretraining_plan.OPTIMIZERS}
    assert set(pretraining_plan.RATES) == pairs
