"""The benchmarks of the GAN, on a handful of images: what they run, what they skip, and what they print."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from recorder import Recorder
from undrawn import undrawn

import cli
from benchmarks import commands, gan_augmentation, gan_hand_loop, gan_losses, throughput
from benchmarks.gan_losses import METRICS

LOSS_RESULTS = {f"test/{name}": 0.5 for name in METRICS} | {"test/n_real": 1000.0, "test/n_generated": 1000.0}


class SamplingRecorder(Recorder):
    """Writes what a run would sample, too."""

    def write(self, stage: str, given: Mapping[str, str], folder: Path) -> None:
        super().write(stage, given, folder)
        if stage == "sample":
            Path(given["--out"]).mkdir()
            Path(given["--out"], "samples.npz").touch()


def recorder(monkeypatch: pytest.MonkeyPatch, tested: dict[str, float]) -> Recorder:
    one = SamplingRecorder(tested)
    monkeypatch.setattr(commands, "run", one)
    return one


def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "run", lambda *words: cli.main([*words, "--trainer.enable_progress_bar=false"]))


def test_losses_differ_in_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = recorder(monkeypatch, LOSS_RESULTS)
    gan_losses.main([f"--dir={tmp_path}", "--losses", "hinge", "wasserstein"])
    assert ran.stages == ["fit", "test", "fit", "test"]
    hinge, wasserstein = (set(words) for words in (ran.words[0], ran.words[2]))
    assert {word.partition("=")[0] for word in hinge ^ wasserstein} == {"--model.init_args.loss", "--run.id"}
    assert "--trainer.max_steps=3000" in hinge


def test_what_was_tested_is_not_trained_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = recorder(monkeypatch, LOSS_RESULTS)
    words = [f"--dir={tmp_path}", "--losses", "hinge", "untrained"]
    gan_losses.main(words)
    first = capsys.readouterr().out
    gan_losses.main(words)
    assert len(ran.words) == 4
    assert capsys.readouterr().out == first
    (tmp_path / "benchmark-gan-losses" / "hinge-spectral-3000-0" / "test.json").unlink()
    gan_losses.main(words)
    assert ran.stages[4:] == ["test"]
    gan_losses.main([*words, "--steps=5"])
    assert len(ran.words) == 9


def test_the_table_of_losses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder(monkeypatch, LOSS_RESULTS)
    words = [f"--dir={tmp_path}", "--losses", "hinge", "untrained", "--seeds", "0", "1"]
    gan_losses.main(words)
    run = tmp_path / "benchmark-gan-losses" / "hinge-spectral-3000-1"
    (run / "test.json").write_text(json.dumps(LOSS_RESULTS | {"test/frechet_distance": 1.5}))
    for seed, seconds in enumerate((10, 20)):
        (run.with_name(f"hinge-spectral-3000-{seed}") / "seconds.json").write_text(json.dumps({"fit": seconds}))
    capsys.readouterr()
    gan_losses.main(words)
    lines = capsys.readouterr().out.splitlines()
    same = "0.5 (0.5 to 0.5)"
    assert lines[0] == "| loss | frechet distance | kernel distance | precision | recall | diversity | seconds |"
    assert lines[2] == f"| hinge | 1 (0.5 to 1.5) | {' | '.join([same] * 4)} | 15 (10 to 20) |"
    assert lines[3].startswith("| untrained | 0.5")
    assert lines[3].endswith("|  |")
    assert lines[5].startswith("1,000 test images against 1,000 generated ones, in MNIST classifier ")


def test_rows_of_few_labels_see_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = recorder(monkeypatch, {"test/accuracy": 0.875})
    words = [f"--dir={tmp_path}", "--seeds", "0", "1"]
    gan_augmentation.main(words)
    trained = [set(words) for words in ran.words if words[0] == "fit"]
    by_id = {word.partition("=")[2]: words for words in trained for word in words if word.startswith("--run.id=")}
    assert len(by_id) == 2 * len(gan_augmentation.ROWS) + 2 + 1  # the GAN of all images once
    for name, given in by_id.items():
        assert ("--data.init_args.train_per_class=10" in given) == (not name.startswith("gan-all"))
        assert "--trainer.limit_val_batches=0" in given
    made = [word for word in by_id["generated-1000-2000-5000-1"] if "generated=" in word]
    assert made == [
        f"--data.init_args.generated={tmp_path}/benchmark-gan-augmentation/gan-few-2000-1/drawn_5000/samples.npz"
    ]
    count = len(ran.words)
    gan_augmentation.main(words)
    assert len(ran.words) == count
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| real-plain | 100 real images, not augmented | 87.5 (87.5 to 87.5) | 87.50, 87.50 |"


@pytest.mark.parametrize(
    ("main", "words", "says"),
    [
        (gan_losses.main, ["--steps=0"], "--steps is 0: give 1 or more"),
        (gan_losses.main, ["--normalisation=batch"], "invalid choice: 'batch'"),
        (gan_losses.main, ["--losses", "none"], "invalid choice: 'none'"),
        (gan_augmentation.main, ["--gan-steps=0"], "--gan-steps is 0: give 1 or more"),
        (gan_augmentation.main, ["--rows", "none"], "invalid choice: 'none'"),
    ],
)
def test_wrong_words(main: object, words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(main)
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["wasserstein", "untrained"])
@undrawn()
def test_a_loss_is_trained_and_tested(
    name: str, mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_this_process(monkeypatch)
    monkeypatch.setattr(gan_losses, "QUICK_STEPS", 2)
    gan_losses.main([f"--root={mnist_root}", f"--dir={tmp_path}", "--quick", "--losses", name])
    assert "60 test images against 60 generated ones" in capsys.readouterr().out.splitlines()[-1]


@undrawn()
def test_a_classifier_learns_from_generated_images(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_this_process(monkeypatch)
    words = [f"--root={mnist_root}", f"--dir={tmp_path}", "--quick", "--seeds=0", "--rows", "generated-plain"]
    gan_augmentation.main(words)
    line = capsys.readouterr().out.splitlines()[-3]
    assert line.startswith("| generated-plain | 100 real and 100 generated by a GAN that saw these 100, not augmented")


@undrawn()
def test_both_adversarial_trainings_print_the_time_of_each_epoch(
    mnist_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*throughput.fit("gan/mnist", str(tmp_path), 2), f"--data.init_args.root={mnist_root}"]
    limits = ["--trainer.limit_val_batches=0", "--trainer.limit_train_batches=2"]
    cli.main([*words, *limits, "--trainer.enable_progress_bar=false"])
    gan_hand_loop.main([f"--root={mnist_root}", "--epochs=2", "--batches=2"])
    timed = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("timed ")]
    assert [int(samples) for _, samples, _ in timed] == [128] * 4


def test_the_loop_by_hand_is_the_configuration() -> None:
    config = yaml.safe_load(Path("configs/gan/mnist.yaml").read_text())
    model = config["model"]["init_args"]
    assert model["loss"] == "non_saturating"
    assert model["latent_dim"] == gan_hand_loop.LATENT_DIM
    assert model["generator"]["init_args"] == {"width": gan_hand_loop.WIDTH}
    assert model["discriminator"]["init_args"] == {"width": gan_hand_loop.WIDTH, "normalisation": "batch"}
    assert model["ema_decay"] == gan_hand_loop.EMA_DECAY
    adam = {"lr": gan_hand_loop.RATE, "betas": list(gan_hand_loop.BETAS), "fused": True}
    assert model["generator_optimizer"]["init_args"] == model["discriminator_optimizer"]["init_args"] == adam
    assert config["data"]["init_args"]["batch_size"] == gan_hand_loop.BATCH_SIZE == throughput.GAN_BATCH_SIZE
