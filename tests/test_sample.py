"""The command `sample`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import cli
from callbacks.sampling import Sampler
from datamodules import Digits, GaussianRing, InMemoryImages
from lit_models import VAE

pytestmark = pytest.mark.usefixtures("no_drawing")

FIT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]


class Numbered(VAE):
    """Images that tell their class; stands for a conditional model, which it is only in sampling."""

    conditional = True

    def labels_of(self, n: int, label: int | None) -> Tensor:
        return torch.arange(n) % 10 if label is None else torch.full((n,), label)

    def decode(self, z: Tensor, *label: Tensor) -> Tensor:
        return super().decode(z)

    def sample(self, n: int, label: int | None = None) -> Tensor:
        if label is not None and not 0 <= label < 10:
            raise ValueError(f"label is {label}: choose one from 0 to 9")
        noise = torch.rand(n, 1, 8, 8, device=self.device) / 20
        return noise + self.labels_of(n, label).view(-1, 1, 1, 1).to(self.device) / 10


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small runs of three models."""
    folder = tmp_path_factory.mktemp("runs")
    for run, words in {
        "vae": ["--config=configs/vae/digits.yaml", "--model.init_args.nll_samples=0"],
        "ae": ["--config=configs/autoencoder/digits.yaml"],
        "numbered": [f"--model={__name__}.Numbered", "--data=Digits"],
    }.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WANDB_MODE", "disabled")
            cli.main(["fit", *words, *FIT, f"--run.dir={folder}", f"--run.id={run}"])
    return folder


def sample(folder: Path, run: str, *words: str) -> dict[str, Any]:
    main = cli.main(["sample", f"--run.dir={folder}", f"--run.id={run}", *words])
    return dict(np.load(main.run.path / "samples.npz"))


def test_samples_are_written_as_arrays_and_as_a_picture(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InMemoryImages, "load_training", lambda self: pytest.fail("data are loaded"))
    config = (runs / "vae-digits/vae/config.yaml").read_text()
    arrays = sample(runs, "vae", "--n=20")
    assert list(arrays) == ["sample"]
    assert (arrays["sample"].dtype, arrays["sample"].shape) == (np.float32, (20, 1, 8, 8))
    assert 0 <= arrays["sample"].min() < arrays["sample"].max() <= 1
    run = runs / "vae-digits" / "vae"
    out = capsys.readouterr().out.splitlines()
    assert out[-3:] == [f"wrote {run}/samples.npz", f"wrote {run}/media/samples_20.png", f"run {run}"]
    assert not [line for line in out if line.startswith("changed")]
    assert (run / "config.yaml").read_text() == config
    assert '"stage": "sample"' in (run / "provenance.json").read_text()


def test_they_are_those_of_the_best_checkpoint_and_of_the_seed(runs: Path) -> None:
    first, second, other = (sample(runs, "vae", "--n=8", f"--seed_everything={seed}")["sample"] for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    main = cli.main(["sample", f"--run.dir={runs}", "--run.id=vae", "--n=8"])
    best = torch.load(runs / "vae-digits/vae/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, best[name]) for name, value in main.model.state_dict().items())
    torch.manual_seed(0)
    with torch.no_grad():
        expected = main.model.eval().sample(8)
    np.testing.assert_allclose(first, expected.numpy(), atol=1e-6)


def test_classes_come_in_turn_or_as_asked(runs: Path, tmp_path: Path) -> None:
    arrays = sample(runs, "numbered", "--n=1025")
    assert arrays["label"].dtype == np.int64
    assert np.array_equal((arrays["sample"][:, 0, 0, 0] * 10).astype(int), arrays["label"])
    assert np.bincount(arrays["label"]).min() >= 100
    sample(runs, "numbered", "--n=7", "--label=3", f"--out={tmp_path / 'new' / 'folder'}")
    written = np.load(tmp_path / "new" / "folder" / "samples.npz")
    assert written["label"].tolist() == 7 * [3]
    assert (tmp_path / "new" / "folder" / "samples_7_label_3.png").is_file()


def test_what_was_sampled_can_be_trained_on(runs: Path) -> None:
    sample(runs, "numbered", "--n=30")
    data = Digits(generated=str(runs / "numbered-digits" / "numbered" / "samples.npz"))
    assert len(data.dataset("train")) == 1294 + 30


@pytest.mark.parametrize(
    ("run", "words", "line"),
    [
        (
            "ae",
            [],
            "model: Autoencoder cannot sample, it is no generative model: give the --run.id of one, such as VAE",
        ),
        ("vae", ["--label=3"], "label is 3: VAE knows no classes, leave it out"),
        ("numbered", ["--label=10"], "label is 10: choose one from 0 to 9"),
        ("vae", ["--n=0"], "n is 0: choose 1 or more"),
        ("vae", ["--out=README.md"], "out is 'README.md', which is no folder: choose another"),
    ],
)
def test_mistakes_end_in_one_line(
    runs: Path, errors_of: Callable[[list[str]], list[str]], run: str, words: list[str], line: str
) -> None:
    assert errors_of(["sample", f"--run.dir={runs}", f"--run.id={run}", *words]) == [f"error: {line}"]


def test_a_run_that_was_never_trained_is_named(tmp_path: Path, errors_of: Callable[[list[str]], list[str]]) -> None:
    (line,) = errors_of(["sample", "--config=configs/vae/digits.yaml", f"--run.dir={tmp_path}"])
    assert line.startswith("error: sample needs a trained model: give the --run.id of a run in ")


def test_precision_is_that_of_the_trainer(runs: Path) -> None:
    arrays = sample(runs, "vae", "--n=4", "--trainer.precision=bf16-mixed")
    assert arrays["sample"].dtype == np.float32
    assert np.isfinite(arrays["sample"]).all()


def test_points_are_drawn_with_the_modes_and_without_data(tmp_path: Path) -> None:
    from lightning.pytorch import LightningModule, Trainer

    class Points(LightningModule):
        def sample(self, n: int, label: int | None = None) -> Tensor:
            return 5 * torch.randn(n, 2)

    sampler = Sampler(seed=0)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path)
    data = GaussianRing()
    sampler.run(trainer, Points(), data, 600, None, None)
    assert data._datasets == {}
    assert sampler.paths == [tmp_path / "samples.npz", tmp_path / "media" / "samples_600.png"]
    values = np.load(tmp_path / "samples.npz")["sample"]
    assert values.shape == (600, 2)
    assert len(np.unique(values, axis=0)) == 600
    assert np.abs(values).max() > 1
