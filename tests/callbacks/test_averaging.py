"""That the average is one of the last epochs, whatever happens in between, and that evaluations take it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

import cli
from callbacks import Checkpoint, CheckpointAveraging, Resumption
from callbacks.averaging import mean_weights

pytestmark = pytest.mark.usefixtures("no_drawing")

VAE = ["--config=configs/vae/digits.yaml", "--config=configs/overlay/debug.yaml", "--model.init_args.nll_samples=0"]


class Counting(LightningModule):
    """Its weight is the square of the number of epochs so far; in half precision, and as a whole number, too."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.half_weight: Tensor
        self.count: Tensor
        self.register_buffer("half_weight", torch.zeros((), dtype=torch.float16))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        number = (self.current_epoch + 1) ** 2
        self.weight.data.fill_(number)
        self.half_weight.fill_(number)
        self.count.fill_(number)
        return 0 * self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


class Break(Callback):
    """Stands for a kill: stops with an error in a hook of an epoch."""

    def __init__(self, hook: str, epoch: int = 0) -> None:
        def stop(trainer: Trainer, *_: Any, **__: Any) -> None:
            if trainer.current_epoch == epoch or hook == "on_train_end":
                raise InterruptedError

        setattr(self, hook, stop)


def fit(folder: Path, *more: Callback, last: int = 3, epochs: int = 5, model: LightningModule | None = None) -> None:
    checkpoints = folder / "checkpoints" / "last.ckpt"
    trainer = Trainer(
        default_root_dir=folder,
        callbacks=[*more, CheckpointAveraging(last), Resumption(), Checkpoint()],
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    resumed = checkpoints if checkpoints.exists() else None
    trainer.fit(model or Counting(), DataLoader(torch.zeros(2, 1)), ckpt_path=resumed, weights_only=True)


def average(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "average.ckpt", weights_only=True)


def kept(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "checkpoints" / "weights").iterdir())


def test_it_is_the_mean_of_the_last_epochs_and_else_the_last_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path)
    saved, last = average(tmp_path), torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    mean = (3**2 + 4**2 + 5**2) / 3
    torch.testing.assert_close(saved["state_dict"]["weight"], torch.full((2,), mean))
    assert saved["state_dict"]["half_weight"] == torch.tensor(mean, dtype=torch.float16)
    assert saved["state_dict"]["count"] == 25
    assert {name: value.dtype for name, value in saved["state_dict"].items()} == {
        name: value.dtype for name, value in last["state_dict"].items()
    }
    assert last["state_dict"]["weight"].tolist() == [25, 25]
    assert {name for name in last if str(saved[name]) != str(last[name])} == {"state_dict"}
    assert kept(tmp_path) == [1, 2, 3, 4]


def test_a_shorter_run_is_averaged_as_a_whole(tmp_path: Path) -> None:
    fit(tmp_path, last=10, epochs=2)
    assert average(tmp_path)["state_dict"]["weight"].tolist() == [2.5, 2.5]


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    fit(tmp_path, last=CheckpointAveraging().last)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"last.ckpt", "previous.ckpt"}


@pytest.mark.parametrize(
    ("hook", "epoch"),
    [
        ("on_train_batch_end", 3),
        ("on_save_checkpoint", 3),  # the epoch's weights are there, the checkpoint is not
        ("on_train_epoch_start", 4),
        ("on_train_end", 5),  # all is done but the average
    ],
)
def test_a_run_that_was_killed_has_the_same(hook: str, epoch: int, tmp_path: Path) -> None:
    fit(tmp_path / "whole")
    with pytest.raises(InterruptedError):
        fit(tmp_path / "parts", Break(hook, epoch))
    assert not (tmp_path / "parts/checkpoints/average.ckpt").exists()
    fit(tmp_path / "parts")
    whole, parts = (average(tmp_path / name)["state_dict"] for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert kept(tmp_path / "parts") == kept(tmp_path / "whole")


def test_a_run_that_falls_back_to_the_checkpoint_before_has_the_same(tmp_path: Path) -> None:
    fit(tmp_path)
    expected = average(tmp_path)["state_dict"]
    folder = tmp_path / "checkpoints"
    (folder / "previous.ckpt").replace(folder / "last.ckpt")
    (folder / "average.ckpt").unlink()
    fit(tmp_path, epochs=4)  # all that it needs is still there
    assert average(tmp_path)["state_dict"]["weight"].tolist() == pytest.approx([(4 + 9 + 16) / 3] * 2)
    fit(tmp_path)
    assert all(torch.equal(value, average(tmp_path)["state_dict"][name]) for name, value in expected.items())


def test_a_run_that_goes_on_has_no_average_until_it_ends(tmp_path: Path) -> None:
    class Look(Callback):
        seen: set[bool]

        def __init__(self) -> None:
            self.seen = set()

        def on_train_batch_end(self, *_: Any) -> None:
            self.seen.add((tmp_path / "checkpoints/average.ckpt").exists())

    fit(tmp_path)
    look = Look()
    fit(tmp_path, look, epochs=6)
    assert look.seen == {False}
    assert average(tmp_path)["state_dict"]["weight"].tolist() == pytest.approx([(16 + 25 + 36) / 3] * 2)
    fit(tmp_path, last=0, epochs=7)
    assert not (tmp_path / "checkpoints/average.ckpt").exists()


def test_another_run_in_the_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    fit(tmp_path)
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        path.unlink()
    (tmp_path / "checkpoints/weights/.7.ckpt.123.tmp").touch()  # of a kill
    fit(tmp_path, epochs=1)
    assert kept(tmp_path) == [0]
    assert average(tmp_path)["state_dict"]["count"] == 1


def test_weights_that_were_lost_are_named(tmp_path: Path) -> None:
    fit(tmp_path, epochs=4)
    (tmp_path / "checkpoints/weights/2.ckpt").unlink()
    with pytest.warns(UserWarning, match=r"lacks the weights of epochs \[2\]: the average goes without them"):
        fit(tmp_path, epochs=5)
    assert average(tmp_path)["state_dict"]["weight"].tolist() == pytest.approx([(4 + 16 + 25) / 3] * 2)


def test_epochs_of_pretraining_do_not_count(tmp_path: Path) -> None:
    class InPhases(Counting):
        phase: str | None = None

        @property
        def pretrains(self) -> bool:
            return self.current_epoch < 3

    fit(tmp_path, model=InPhases())
    assert kept(tmp_path) == [3, 4]
    assert average(tmp_path)["state_dict"]["weight"].tolist() == [20.5, 20.5]


def test_sums_are_made_in_float64(tmp_path: Path) -> None:
    values = [1e8, 1.0, -1e8, 1.0]
    for place, value in enumerate(values):
        torch.save({"state_dict": {"w": torch.tensor(value)}}, tmp_path / f"{place}.ckpt")
    mean = mean_weights([tmp_path / f"{place}.ckpt" for place in range(4)])
    assert mean["w"] == torch.tensor(0.5)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match=r"averaging\.last is -1: choose the number of epochs"):
        CheckpointAveraging(-1)
    trainer = Trainer(callbacks=[CheckpointAveraging(2)], max_epochs=1, logger=False, accelerator="cpu")
    with pytest.raises(ValueError, match="needs a Checkpoint among the callbacks"):
        trainer.fit(Counting(), DataLoader(torch.zeros(2, 1)))


def test_evaluations_take_it_and_training_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = cli.main(["fit", *VAE, "--averaging.last=2", f"--run.dir={tmp_path}", "--run.id=one"]).run
    assert f"wrote {run.average}" in capsys.readouterr().out
    place = [f"--run.dir={tmp_path}", "--run.id=one", "--wandb.mode=disabled"]
    for command, words in {"test": [], "validate": [], "predict": [], "sample": ["--n=2"]}.items():
        main = cli.main([command, *place, *words])
        assert main.checkpoint == str(run.average)
        weights = torch.load(run.average, weights_only=True)["state_dict"]
        assert all(torch.equal(value, weights[name]) for name, value in main.model.state_dict().items())
    best = {**json.loads((run.path / "test.json").read_text())}
    cli.main(["test", *place, f"--ckpt_path={run.best}"])
    assert json.loads((run.path / "test.json").read_text()) != best
    assert cli.main(["fit", *place, "--trainer.max_epochs=5"]).checkpoint == str(run.last)
