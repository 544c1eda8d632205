"""Whatever a user can get wrong ends in one line that names it, in code 2, and in nothing written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningDataModule
from PIL import Image
from torch.utils.data import DataLoader

import cli
from datamodules import ImageBatch

ErrorsOf = Callable[[list[str]], list[str]]
VAE = ["--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml"]
CONV = ["--model.init_args.encoder=ConvEncoder", "--model.init_args.decoder=ConvDecoder"]
FOLDER = "--data=ImageFolder"


class Broken(LightningDataModule):
    """Digits as floats, of which some are not numbers."""

    image_shape = (1, 8, 8)

    def batches(self) -> Any:
        image = torch.rand(64, 1, 8, 8)
        image[3, 0, 2, :2] = torch.nan
        return DataLoader([ImageBatch(image, torch.zeros(64), torch.arange(64))], batch_size=None)

    train_dataloader = val_dataloader = test_dataloader = batches


def said_once(said: tuple[str, ...], lines: list[str]) -> None:
    assert len(lines) == 1, lines
    for part in said:
        assert part in lines[0]


# found in the words and the files, by code that all commands share
SETTINGS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "missing file": (["--config=missing.yaml"], ("config: 'missing.yaml'", "check the path")),
    "a folder as file": (["--config=configs"], ("config: 'configs'", "directory")),
    "model class": ([*VAE, "--model=VEA"], ("model: there is no class 'VEA'", "'VAE'")),
    "data class": ([*VAE, "--data.class_path=Digit"], ("data: there is no class 'Digit'", "'Digits'")),
    "class of a missing module": ([*VAE, "--model=nowhere.VAE"], ("model: there is no class 'nowhere.VAE'", "'VAE'")),
    "path as class": ([*VAE, "--model=../VAE"], ("model: there is no class '../VAE'",)),
    "class of another kind": ([*VAE, "--model=lit_models.WarmupCosine"], ("model: WarmupCosine is no Technique",)),
    "base class": ([*VAE, "--data=ImageDataModule"], ("data: ImageDataModule is only a base",)),
    "encoder class": ([*VAE, "--model.encoder=MLPEncodr"], ("model.init_args.encoder", "'MLPEncoder'")),
    "optimizer class": (
        [*VAE, "--model.init_args.optimizer=torch.optim.Adm"],
        ("model.init_args.optimizer", "'torch.optim.Adm'", "'torch.optim.Adam'"),
    ),
    "top-level key": ([*VAE, "--trainr.max_epochs=3"], ("trainr: there is no such setting", "'trainer'")),
    "trainer key": ([*VAE, "--trainer.max_epoch=3"], ("trainer.max_epoch:", "'max_epochs'")),
    "model key": ([*VAE, "--model.init_args.latnt_dim=8"], ("model.init_args.latnt_dim:", "'latent_dim'")),
    "model key, short": ([*VAE, "--model.latnt_dim=8"], ("model.init_args.latnt_dim:", "'latent_dim'")),
    "data key": ([*VAE, "--data.init_args.bach_size", "8"], ("data.init_args.bach_size:", "'batch_size'")),
    "encoder key": (
        [*VAE, "--model.init_args.encoder.init_args.hiden=[1]"],
        ("model.init_args.encoder.init_args.hiden:", "'hidden'"),
    ),
    "key in the wrong place": ([*VAE, "--latent_dim=8"], ("latent_dim:", "'model.init_args.latent_dim'")),
    "type": ([*VAE, "--model.init_args.latent_dim=abc"], ("model.init_args.latent_dim: 'abc' is not of type int",)),
    "null": ([*VAE, "--model.init_args.latent_dim=null"], ("model.init_args.latent_dim: null is not of type int",)),
    "choice": (
        [*VAE, "--model.init_args.scheduler_interval=epochs"],
        ("model.init_args.scheduler_interval: 'epochs'", "epoch, step", "did you mean 'epoch'?"),
    ),
    "precision": ([*VAE, "--trainer.precision=bf16-mixd"], ("trainer.precision: 'bf16-mixd'", "'bf16-mixed'")),
    "group": ([*VAE, "--wandb=online"], ("wandb: is 'online'", "mode")),
    "scheduler without its argument": (
        [*VAE, "--model.init_args.scheduler=torch.optim.lr_scheduler.StepLR"],
        ("model.init_args.scheduler.init_args.step_size: is needed",),
    ),
    "folder without root": ([*VAE, FOLDER], ("data.init_args.root: is needed",)),
    "shape by hand": (
        [*VAE, "--model.image_shape=[1,8,8]"],
        ("model.init_args.image_shape: follows data.image_shape",),
    ),
    "seed of the data": ([*VAE, "--data.init_args.seed=3"], ("data.init_args.seed: follows seed_everything",)),
    "random seed": ([*VAE, "--seed_everything=true"], ("seed_everything is True: give a number",)),
    "no data": (["--model=VAE"], ("data: is needed",)),
    "flag without value": ([*VAE, "--trainer.max_epochs"], ("--trainer.max_epochs",)),
    "stray word": ([*VAE, "stray"], ("stray",)),
}

# found when everything is built
VALUES: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "latent_dim 0": ([*VAE, "--model.init_args.latent_dim=0"], ("model.init_args.latent_dim is 0",)),
    "batch_size 0": ([*VAE, "--data.init_args.batch_size=0"], ("data.init_args.batch_size=0", "1 or more")),
    "batch_size -1": ([*VAE, "--data.init_args.batch_size", "-1"], ("data.init_args.batch_size=-1", "1 or more")),
    "val_size 2": ([*VAE, "--data.init_args.val_size=2"], ("data.init_args.val_size=2.0",)),
    "hidden layer of 0": (
        [*VAE, "--model.init_args.encoder.init_args.hidden=[0]"],
        ("model.init_args.encoder.init_args.hidden is [0]",),
    ),
    "image too small": (
        [*VAE, *CONV, "--model.encoder.channels=[4,4,4,4]"],
        ("8x8 is too small", "fewer channels or a larger data.init_args.image_size"),
    ),
    "pictures of none": ([*VAE, "--pictures.n_images=0"], ("pictures.n_images is 0",)),
    "selected on test data": ([*VAE, "--checkpoint.monitor=test/nll"], ("checkpoint.monitor is 'test/nll'",)),
    "stopped by test data": ([*VAE, "--early_stopping.monitor=test/nll"], ("early_stopping.monitor is 'test/nll'",)),
    "stopped in pretraining": (
        [*VAE, "--early_stopping.monitor=pretrain/layer1/loss"],
        ("early_stopping.monitor is 'pretrain/layer1/loss'",),
    ),
    "missing folder": ([*VAE, FOLDER, "--data.root=missing"], ("data.init_args.root='missing' is not a folder",)),
    "strategy": ([*VAE, "--trainer.strategy=ddpp"], ("trainer.strategy: there is no 'ddpp'", "'ddp'")),
    "accelerator": ([*VAE, "--trainer.accelerator=gpuu"], ("trainer.accelerator: there is no 'gpuu'", "'gpu'")),
    "devices": ([*VAE, "--trainer.devices=-2"], ("trainer.devices: -2 is impossible",)),
    "id": ([*VAE, "--run.id=../x"], ("run.id is '../x'",)),
    "checkpoint missing": ([*VAE, "--ckpt_path=missing.ckpt"], ("ckpt_path: there is no file 'missing.ckpt'",)),
    "root of the Trainer": ([*VAE, "--trainer.default_root_dir=x"], ("trainer.default_root_dir: follows run.dir",)),
}

# found when something runs
RUNNING: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "val_size too small": ([*VAE, "--data.val_size=0.0001"], ("data.init_args.val_size=0.0001", "empty part")),
    "schedule of epochs": (
        [*VAE, "--model.init_args.scheduler_interval=epoch"],
        ("model.init_args.scheduler_interval is 'epoch'", "set it to step"),
    ),
    "run without end": ([*VAE, "--trainer.max_epochs=-1"], ("set trainer.max_epochs",)),
}


@pytest.mark.parametrize(("words", "said"), [*SETTINGS.values(), *VALUES.values()], ids=[*SETTINGS, *VALUES])
def test_fit_says_it_in_one_line(words: list[str], said: tuple[str, ...], tmp_path: Path, errors_of: ErrorsOf) -> None:
    said_once(said, errors_of(["fit", *words, f"--run.dir={tmp_path}"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["fit", "check"])
@pytest.mark.parametrize(("words", "said"), RUNNING.values(), ids=RUNNING)
def test_a_run_that_cannot_begin_leaves_nothing(
    command: str, words: list[str], said: tuple[str, ...], tmp_path: Path, errors_of: ErrorsOf
) -> None:
    said_once(said, errors_of([command, *words, f"--run.dir={tmp_path}"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["check", "validate", "test", "predict"])
def test_every_command_shares_the_look_at_the_settings(command: str, errors_of: ErrorsOf) -> None:
    words, said = SETTINGS["model key"]
    said_once(said, errors_of([command, *words]))


def test_all_mistakes_are_named_at_once(tmp_path: Path, errors_of: ErrorsOf) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {init_args: {latnt_dim: 8, beta: strong}}\ntrainer: {max_epoch: 3}\n")
    lines = errors_of(["fit", *VAE, f"--config={overlay}", "--data=Digit"])
    assert lines == [
        "error: model.init_args.beta: 'strong' is not of type float",
        "error: data: there is no class 'Digit', did you mean 'Digits'?",
        "error: model.init_args.latnt_dim: there is no such setting, did you mean 'latent_dim'?",
        "error: trainer.max_epoch: there is no such setting, did you mean 'max_epochs'?",
    ]


def test_all_impossible_values_are_named_at_once(tmp_path: Path, errors_of: ErrorsOf) -> None:
    words = ["--data.batch_size=0", "--checkpoint.monitor=test/x", "--pictures.n_images=0", f"--run.dir={tmp_path}"]
    lines = errors_of(["check", *VAE, *words])
    assert [line.split()[1].split("=")[0] for line in lines] == [
        "data.init_args.batch_size",
        "checkpoint.monitor",
        "pictures.n_images",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML"),
        ("- 1", "holds a list"),
        ("", "holds nothing"),
        ("run: !!python/object/apply:os.system [x]", "is not YAML with plain values"),
    ],
)
def test_files_that_hold_no_settings(text: str, said: str, tmp_path: Path, errors_of: ErrorsOf) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    said_once((str(path), said), errors_of(["fit", f"--config={path}"]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the command is missing"),
        (["fti"], "there is no command 'fti', did you mean 'fit'?"),
        (["--config=configs/vae/digits.yaml", "fit"], "the command is missing"),
        (["test", "--run.id=nowhere"], "there is no run 'nowhere'"),
        (["test", *VAE], "test needs a trained model"),
    ],
)
def test_commands(words: list[str], said: str, errors_of: ErrorsOf) -> None:
    said_once((said,), errors_of(words))


def test_a_folder_without_pictures(tmp_path: Path, errors_of: ErrorsOf) -> None:
    words = [*VAE, FOLDER, f"--data.root={tmp_path}"]
    said_once((str(tmp_path), "neither pictures nor folders"), errors_of(["fit", *words]))


@pytest.mark.parametrize("command", ["fit", "check"])
def test_a_picture_that_is_none(command: str, tmp_path: Path, errors_of: ErrorsOf) -> None:
    for number in range(20):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    (tmp_path / "7.png").write_bytes(b"no picture")
    words = [*VAE, FOLDER, f"--data.root={tmp_path}", "--data.image_size=8", f"--run.dir={tmp_path / 'runs'}"]
    said_once(("cannot read 1 picture(s)", "7.png"), errors_of([command, *words]))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["fit", "check"])
def test_data_that_are_not_numbers(command: str, tmp_path: Path, errors_of: ErrorsOf) -> None:
    words = [*VAE, f"--data={__name__}.Broken", f"--run.dir={tmp_path}"]
    lines = errors_of([command, *words])
    stages = ("training", "validation", "test") if command == "check" else ("training",)
    assert lines == [
        f"error: data: 2 of 4096 values of 'image' in the first {stage} batch are NaN or infinite, mend the data"
        for stage in stages
    ]


@pytest.mark.parametrize("command", ["fit", "check"])
def test_metrics_that_are_watched_and_never_logged(command: str, tmp_path: Path, errors_of: ErrorsOf) -> None:
    watched = ["--checkpoint.monitor=val/totl", "--early_stopping.monitor=val/elb", "--early_stopping.patience=3"]
    assert set(errors_of([command, *VAE, *watched, f"--run.dir={tmp_path}"])) == {
        "error: checkpoint.monitor is 'val/totl', which is never logged, did you mean 'val/total'?",
        "error: early_stopping.monitor is 'val/elb', which is never logged, did you mean 'val/elbo'?",
    }


def test_a_folder_that_cannot_be_written(tmp_path: Path, errors_of: ErrorsOf) -> None:
    (tmp_path / "file").write_text("")
    for command in ("fit", "check"):
        lines = errors_of([command, *VAE, f"--run.dir={tmp_path / 'file' / 'runs'}"])
        said_once(("run.dir:", f"because of '{tmp_path / 'file'}'", "choose another --run.dir"), lines)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is none")
def test_a_gpu_that_is_not_there(errors_of: ErrorsOf) -> None:
    lines = errors_of(["fit", *VAE, "--trainer.accelerator=gpu"])
    said_once(("trainer.accelerator: this machine has no gpu",), lines)


def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch, errors_of: ErrorsOf) -> None:
    monkeypatch.setattr("lightning.pytorch.accelerators.CUDAAccelerator.is_available", lambda: True)
    monkeypatch.setattr("lightning.pytorch.accelerators.CUDAAccelerator.auto_device_count", lambda: 2)
    for devices, said in (("99", "99 were asked for, this machine has 2"), ("[0,2]", "there is no device 2")):
        lines = errors_of(["fit", *VAE, "--trainer.accelerator=cuda", f"--trainer.devices={devices}"])
        said_once((f"trainer.devices: {said}",), lines)


def test_what_another_class_does_not_know_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="lightning.pytorch.utilities.rank_zero"), pytest.raises(SystemExit, match="0"):
        cli.main(["fit", *VAE, "--model=Autoencoder", "--print_config"])
    warned = [message.split()[1] for message in caplog.messages if message.startswith("warning: ")]
    assert warned == ["model.init_args.likelihood", "model.init_args.nll_samples"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model=VAE", "--data=DomainPair", "--data.source=Digits", "--data.target=BlendedDigits"],
            "has two domains",
        ),
        (["--model=DANN", "--data=Digits"], "is one domain"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "check"])
def test_model_and_data_have_as_many_domains(
    command: str, words: list[str], message: str, errors_of: Callable[[list[str]], list[str]], tmp_path: Path
) -> None:
    (line,) = errors_of([command, *words, f"--run.dir={tmp_path}"])
    assert message in line
    assert list(tmp_path.iterdir()) == []
