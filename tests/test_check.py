"""`check`: what it finds out, and that it leaves nothing behind."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import cli
from datamodules import Digits
from lit_models import Autoencoder

pytestmark = pytest.mark.usefixtures("no_drawing")

ErrorsOf = Callable[[list[str]], list[str]]
AUTOENCODER = ["--config=configs/autoencoder/digits.yaml"]


class Exploding(Autoencoder):
    """An autoencoder whose loss is no number."""

    def loss(self, batch: torch.Tensor) -> object:
        terms = super().loss(batch)
        return terms._replace(total=terms.total * torch.nan)


class Greedy(Autoencoder):
    """An autoencoder that wants more memory than there is."""

    def loss(self, batch: torch.Tensor) -> object:
        raise torch.OutOfMemoryError("out of memory")


def listed(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_says_what_a_run_would_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model.latent_dim", "4", "--trainer.max_epochs=7", f"--run.dir={tmp_path}"]
    cli.main(["check", *AUTOENCODER, "--config=configs/overlay/wandb.yaml", *words])
    rows = dict(re.split(r"   +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines() if "   " in line)
    assert rows["model.init_args.latent_dim = 4"] == "--model.latent_dim"
    assert rows["trainer.max_epochs = 7"] == "--trainer.max_epochs"
    assert rows["data.init_args.batch_size = 64"] == "configs/autoencoder/digits.yaml"
    assert rows["wandb.mode = online"] == "configs/overlay/wandb.yaml"
    assert rows["data.init_args.seed = 0"] == "seed_everything"
    assert rows["model.init_args.image_shape = [1, 8, 8]"] == "data.image_shape"
    assert not [row for row in rows if row.startswith(("trainer.precision", "model.init_args.reconstruction"))]

    assert rows["batch train"] == "image float32 (64, 1, 8, 8)  label int64 (64,)  index int64 (64,)"
    assert rows["batch validation"].startswith("image float32 (144, 1, 8, 8)")
    assert rows["batch test"].startswith("image float32 (359, 1, 8, 8)")
    model = Autoencoder((1, 8, 8), latent_dim=4)  # has other widths, but the same parts
    assert {name for name in rows if name.startswith("parameters")} == {
        "parameters total",
        *(f"parameters {name}" for name in ("encoder", "decoder")),
    }
    assert {"encoder", "decoder"} <= dict(model.named_children()).keys()
    first = 64 * 256 + 256 + 256 * 128 + 128
    assert rows["parameters encoder"] == f"{first + 128 * 4 + 4:,} ({first + 128 * 4 + 4:,} trainable)"
    assert 0.1 < float(rows["memory"].split(" GiB")[0]) < 100
    assert re.fullmatch(
        r"about \S+ s for 21 training batches and \S+ s for 1 of validation; .*", rows["time of an epoch"]
    )
    assert not list(tmp_path.iterdir())


def test_lists_of_classes_are_named_by_what_gave_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callback = ["--trainer.callbacks+=lightning.pytorch.callbacks.LearningRateMonitor"]
    cli.main(["check", *AUTOENCODER, *callback, "--trainer.limit_test_batches=0", f"--run.dir={tmp_path}"])
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("trainer.callbacks")]
    assert "LearningRateMonitor" in line
    assert line.endswith("   --trainer.callbacks+")
    assert "batch test" not in out  # was left out by the limit
    assert "no problems found" in out


def test_a_run_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*AUTOENCODER, "--config=configs/overlay/debug.yaml", "--trainer.max_epochs=2"]
    cli.main(["fit", *words, f"--run.dir={tmp_path}", "--run.id=one"])
    before = listed(tmp_path)
    capsys.readouterr()
    cli.main(["check", f"--run.dir={tmp_path}", "--run.id=one", "--trainer.max_epochs=9"])
    out = capsys.readouterr().out
    run = tmp_path / "autoencoder-digits" / "one"
    assert "changed from the run's own config: trainer.max_epochs: 2 -> 9" in out
    assert re.search(rf"model\.init_args\.latent_dim = 8 +{re.escape(str(run / 'config.yaml'))}", out)
    assert re.search(rf"ckpt_path = {re.escape(str(run / 'checkpoints/last.ckpt'))} +the run's own checkpoint", out)
    assert listed(tmp_path) == before


def test_a_callback_that_is_told_where_to_write_is_left_out(tmp_path: Path) -> None:
    words = ["--trainer.callbacks+=ModelCheckpoint", f"--trainer.callbacks.dirpath={tmp_path / 'elsewhere'}"]
    run = cli.main(["check", *AUTOENCODER, *words, f"--run.dir={tmp_path / 'runs'}"])
    assert not [callback for callback in run.trainer.callbacks if isinstance(callback, ModelCheckpoint)]
    assert not list(tmp_path.iterdir())


def test_the_folder_for_what_callbacks_write_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    run = cli.main(["check", *AUTOENCODER, f"--run.dir={tmp_path / 'runs'}"])
    pictures = next(callback for callback in run.trainer.callbacks if type(callback).__name__ == "Pictures")
    assert {path.name for path in pictures.paths} >= {"reconstructions.png", "test_reconstructions.png"}
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([f"--model={__name__}.Exploding"], "model: the loss of the first training batch is nan"),
        ([f"--model={__name__}.Greedy"], "data.init_args.batch_size: a batch does not fit into the memory"),
        (["--trainer.max_epochs=0", "--model.scheduler=null"], "no batch is trained, look at max_epochs"),
        (["--trainer.limit_train_batches=0", "--model.scheduler=null"], "no batch is trained"),
    ],
)
def test_what_only_a_run_shows(words: list[str], said: str, tmp_path: Path, errors_of: ErrorsOf) -> None:
    (line,) = errors_of(["check", *AUTOENCODER, *words, f"--run.dir={tmp_path}"])
    assert said in line
    assert not list(tmp_path.iterdir())


def test_the_length_of_the_run_is_the_configured_one(tmp_path: Path) -> None:
    run = cli.main(["check", *AUTOENCODER, f"--run.dir={tmp_path}", "--trainer.max_epochs=3"])
    assert run.trainer.max_epochs == 3
    assert run.trainer.current_epoch == 1  # and stopped after one
    assert isinstance(run.datamodule, Digits)
