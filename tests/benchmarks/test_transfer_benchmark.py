"""The comparison of ways to use pretrained weights: what it runs, what it skips, and what it prints."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from PIL import Image
from recorder import Recorder

from benchmarks import commands, transfer
from benchmarks.stopwatch import FitSeconds
from benchmarks.transfer import DOMAINS, WAYS, Row, Run, changes, epochs_to, learning, parse, tables
from datamodules import Digits
from lit_models import TransferClassifier


class TrainedRecorder(Recorder):
    """Writes also what a training leaves to be read."""

    def write(self, stage: str, given: Mapping[str, str], folder: Path) -> None:
        super().write(stage, given, folder)
        if stage == "fit":
            (folder / "metrics.csv").write_text("step,epoch,val/accuracy\n4,0,0.25\n9,1,0.5\n")
            (folder / FitSeconds.FILE).write_text(json.dumps({"seconds": 2.5}))
            states = {0: {"exp_avg": torch.zeros(3, 2)}, 1: {"exp_avg": torch.zeros(4)}}
            (folder / "checkpoints").mkdir()
            torch.save({"optimizer_states": [{"state": states}]}, folder / "checkpoints" / "last.ckpt")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = TrainedRecorder({"test/accuracy": 0.5})
    monkeypatch.setattr(commands, "run_here", recorder)
    return recorder


def test_every_run_is_made_once_and_read_from_its_files(
    ran: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--dir={tmp_path}", "--epochs=8", "--seeds", "0", "1", "--labels", "5"]
    transfer.main(words)
    fits = [words for words in ran.words if words[0] == "fit"]
    assert len(fits) == len(DOMAINS) * len(WAYS) * 2
    assert all("--trainer.max_epochs=8" in words for words in fits)
    assert not any("limit_test" in word for words in ran.words for word in words)
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| last_blocks"))
    assert row == "| last_blocks | 5 | 2 | 50.0 (50.0 to 50.0) | 2.5 (2.5 to 2.5) | 2 (2 to 2) | 10 |"
    for name in ("accuracies.png", "learning.png"):
        with Image.open(tmp_path / "benchmark-transfer-8" / name) as picture:
            picture.verify()
    count = len(ran.words)
    transfer.main(words)
    assert len(ran.words) == count


def given(way: str, domain: str = "usps", *more: str) -> dict[str, str]:
    words = changes(Row(domain, 20, way, 3), parse(["--root=R", "--photos=P", "--epochs=40", *more]))
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def test_ways_differ_in_nothing_but_the_way() -> None:
    of_the_way = ("unfreezing.", "model.init_args.")
    shared = [{key: value for key, value in given(way).items() if not key.startswith(of_the_way)} for way in WAYS]
    assert all(one == shared[0] for one in shared)
    assert shared[0]["data.init_args.split_seed"] == shared[0]["seed_everything"] == "3"
    weights = {way: given(way).get("model.init_args.weights") for way in WAYS}
    assert weights == {**dict.fromkeys(WAYS, None), "scratch": "null"}
    assert given("probe_then_finetune")["unfreezing.probe_epochs"] == "10"


def test_blocks_can_have_one_learning_rate() -> None:
    rates = ("model.init_args.backbone_rate", "model.init_args.layer_decay")
    slower, equal = given("full"), given("full", "usps", "--equal-rates")
    assert not slower.keys() & set(rates)
    assert equal == slower | dict.fromkeys(rates, "1")
    assert given("scratch", "usps", "--equal-rates") == given("scratch")
    folders = {transfer.experiment(parse(words)) for words in ([], ["--equal-rates"])}
    assert len(folders) == 2


def test_both_domains_come_as_the_network_knows_images() -> None:
    assert given("full")["data"] == "USPS"
    other = given("full", "mnistm")
    assert (other["data"], other["data.init_args.photos"]) == ("MNISTM", "P")
    assert (other["data.init_args.grayscale"], other["model.init_args.margin"]) == ("true", "0")


def run(accuracy: float, *validations: float) -> Run:
    return Run(accuracy, 4.0, 650, validations)


def test_table_tells_speed_from_accuracy_and_what_did_harm() -> None:
    arguments = parse(["--domains", "usps", "--labels", "5", "--ways", "scratch", "feature_extraction", "full"])
    found = {
        Row("usps", 5, "scratch", 0): run(0.7, 0.2, 0.4, 0.7),
        Row("usps", 5, "scratch", 1): run(0.7, 0.2, 0.7, 0.7),
        Row("usps", 5, "feature_extraction", 0): run(0.6, 0.6, 0.6, 0.6),
        Row("usps", 5, "full", 0): run(0.9, 0.5, 0.85, 0.9),
        Row("usps", 5, "full", 1): run(0.8, 0.5, 0.6, 0.7),
    }
    text = tables(found, arguments)
    cells = {line.split(" | ")[0]: line.split(" | ") for line in text.splitlines() if line.startswith("| ")}
    assert cells["| scratch"][3] == "70.0 (70.0 to 70.0)"
    assert cells["| scratch"][5] == "2, 1 of 2"  # 0.95 * 0.9 in the first draw of labels, 0.95 * 0.7 in the second
    assert cells["| feature_extraction"][5] == "never"
    assert cells["| full"][5] == "3 (3 to 3)"
    assert "**feature_extraction did harm on usps with 5 labels a class**: 60.0%, and from scratch 70.0%." in text
    assert "full did harm" not in text
    assert learning(found)["usps", 5]["full"] == pytest.approx([0.5, 0.725, 0.8])


def test_epochs_are_counted_from_one() -> None:
    assert epochs_to([0.5, 0.9, 0.95], 0.9) == 2
    assert epochs_to([0.5, 0.6], 0.9) is None


@pytest.mark.parametrize(
    ("words", "line"),
    [(["--epochs=3"], "--epochs is 3: give 4 or more"), (["--labels", "5", "0"], "--labels is 5 0: give 1 or more")],
)
def test_impossible_lengths_are_named(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(words)
    assert line in capsys.readouterr().err


def test_seconds_of_a_fit_go_on_after_a_resume(tmp_path: Path) -> None:
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "use_distributed_sampler"), False)
    path, ends = tmp_path / "one.ckpt", []
    for epochs, resumed in ((1, None), (2, path)):
        clock = FitSeconds()
        trainer = Trainer(
            **quiet,  # type: ignore[arg-type]
            accelerator="cpu",
            callbacks=[clock],
            max_epochs=epochs,
            default_root_dir=tmp_path,
            enable_checkpointing=False,
        )
        trainer.fit(TransferClassifier((1, 8, 8), 10), Digits(train_per_class=5), ckpt_path=resumed, weights_only=True)
        trainer.save_checkpoint(path)
        ends.append(json.loads((tmp_path / FitSeconds.FILE).read_text())["seconds"])
    assert 0 < ends[0] < ends[1]
