"""Files that are given as a checkpoint, and are not what they should be."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cli

pytestmark = pytest.mark.usefixtures("no_drawing")

ErrorsOf = Callable[[list[str]], list[str]]
VAE = ["--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent.parent)
        patch.setenv("WANDB_MODE", "disabled")
        words = [f"--run.dir={tmp_path_factory.mktemp('runs')}", "--run.id=one", "--trainer.max_epochs=1"]
        return cli.main(["fit", *VAE, *words]).run.path


@pytest.mark.parametrize("command", ["check", "validate"])
@pytest.mark.parametrize("content", [b"no checkpoint", b""])
def test_a_file_that_is_no_checkpoint(command: str, content: bytes, tmp_path: Path, errors_of: ErrorsOf) -> None:
    path = tmp_path / "given.ckpt"
    path.write_bytes(content)
    (line,) = errors_of([command, *VAE, f"--ckpt_path={path}", f"--run.dir={tmp_path / 'runs'}"])
    assert f"ckpt_path: '{path}' cannot be read" in line
    assert not (tmp_path / "runs").exists()


def test_a_damaged_checkpoint(trained: Path, tmp_path: Path, errors_of: ErrorsOf) -> None:
    path = tmp_path / "cut.ckpt"
    path.write_bytes((trained / "checkpoints/last.ckpt").read_bytes()[:-200])
    (line,) = errors_of(["fit", *VAE, f"--ckpt_path={path}"])
    assert f"ckpt_path: '{path}' cannot be read" in line


def test_a_checkpoint_without_weights(tmp_path: Path, errors_of: ErrorsOf) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    (line,) = errors_of(["fit", *VAE, f"--ckpt_path={tmp_path / 'other.ckpt'}"])
    assert "is no checkpoint, it has no weights under 'state_dict'" in line


def test_weights_alone_cannot_be_continued(trained: Path, tmp_path: Path, errors_of: ErrorsOf) -> None:
    saved = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)
    torch.save({"state_dict": saved["state_dict"]}, tmp_path / "weights.ckpt")
    words = [*VAE, f"--ckpt_path={tmp_path / 'weights.ckpt'}", f"--run.dir={tmp_path / 'runs'}"]
    (line,) = errors_of(["fit", *words])
    assert "fit cannot go on from weights alone, optimizer_states, lr_schedulers, loops, callbacks" in line


@pytest.mark.parametrize("command", ["check", "test"])
def test_a_checkpoint_of_another_model(command: str, trained: Path, tmp_path: Path, errors_of: ErrorsOf) -> None:
    given = [f"--ckpt_path={trained / 'checkpoints/last.ckpt'}", f"--run.dir={tmp_path}", "--run.override=true"]
    words = ["--config=configs/autoencoder/digits.yaml", *given]
    (line,) = errors_of([command, *words])
    assert "the checkpoint is of lit_models.VAE, not of this Autoencoder: it has besides average;" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["fit", "check"])
def test_a_checkpoint_of_other_settings(command: str, trained: Path, tmp_path: Path, errors_of: ErrorsOf) -> None:
    given = [f"--ckpt_path={trained / 'checkpoints/last.ckpt'}", f"--run.dir={tmp_path}"]
    (line,) = errors_of([command, *VAE, *given, "--model.init_args.beta=2", "--seed_everything=1"])
    assert "model.init_args.beta: 1.0 -> 2.0" in line
    assert "seed_everything: 0 -> 1" in line
