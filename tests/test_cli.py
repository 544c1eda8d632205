"""The command line, run as a user runs it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import cli
from callbacks import RunFolder, RunSettings

pytestmark = pytest.mark.usefixtures("no_drawing")

DIGITS = ["--config", "configs/vae/digits.yaml", "--config", "configs/overlay/debug.yaml", "--trainer.max_epochs=2"]


def fit(runs: Path, *flags: str, run_id: str = "one") -> Path:
    cli.main(["fit", *DIGITS, f"--run.dir={runs}", f"--run.id={run_id}", *flags])
    return runs / "vae-digits" / run_id


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One short run, shared by the tests that only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent.parent)
        patch.setenv("WANDB_MODE", "disabled")
        return fit(tmp_path_factory.mktemp("runs"))


def history(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without the speed, which no two runs share."""
    with (run / "metrics.csv").open(newline="") as file:
        return [
            {name: value for name, value in row.items() if not name.startswith("speed/")}
            for row in csv.DictReader(file)
        ]


def on(run: Path) -> list[str]:
    return [f"--run.dir={run.parent.parent}", f"--run.id={run.name}", "--wandb.mode=disabled"]


def test_a_run_is_a_folder(trained: Path) -> None:
    names = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "metrics.csv",
        "provenance.json",
        "checkpoints/last.ckpt",
        "checkpoints/previous.ckpt",
        "checkpoints/best.ckpt",
        "media/samples.png",
        "media/reconstructions.png",
        "media/learning_curves.png",
    } <= names
    assert not [name for name in names if name.endswith(".part")]


def test_metrics_csv_has_every_stage(trained: Path) -> None:
    rows = list(csv.DictReader((trained / "metrics.csv").open()))
    assert {"step", "epoch", "train/total", "train/kl", "val/total", "val/elbo"} <= rows[0].keys()
    assert [int(row["step"]) for row in rows if row["train/total"]] == list(range(6))
    assert len([row for row in rows if row["val/elbo"]]) == 2


def test_provenance_names_versions_command_and_data(trained: Path) -> None:
    (launch,) = [launch for launch in json.loads((trained / "provenance.json").read_text()) if launch["stage"] == "fit"]
    assert torch.__version__.startswith(launch["versions"]["torch"])
    assert launch["command"][:2] == ["cli.py", "fit"]
    assert len(launch["data_sha256"]) == 64


def test_sizes_come_from_the_data(trained: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert "image_shape" not in config["model"]["init_args"]
    weights = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)
    assert weights["state_dict"]["encoder.1.weight"].shape == (256, 64)
    assert weights["hyper_parameters"]["image_shape"] == [1, 8, 8]


def test_model_loads_in_python_from_the_checkpoint_alone(trained: Path) -> None:
    from lit_models import VAE

    model = VAE.load_from_checkpoint(trained / "checkpoints/best.ckpt", weights_only=True)
    assert model.reconstruct(torch.rand(2, 1, 8, 8)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("command", "file", "metric"), [("test", "test.json", "test/nll"), ("validate", "validate.json", "val/elbo")]
)
def test_evaluation_needs_only_the_id(trained: Path, command: str, file: str, metric: str) -> None:
    cli.main([command, *on(trained)])
    results = json.loads((trained / file).read_text())
    assert np.isfinite(results[metric])
    assert all(isinstance(value, float) for value in results.values())


def test_validate_repeats_the_number_of_the_best_epoch(trained: Path) -> None:
    cli.main(["validate", *on(trained)])
    rows = list(csv.DictReader((trained / "metrics.csv").open()))
    best = min(float(row["val/total"]) for row in rows if row["val/total"])
    assert json.loads((trained / "validate.json").read_text())["val/total"] == pytest.approx(best, rel=1e-6)


def test_predict_writes_latents_with_labels(trained: Path) -> None:
    cli.main(["predict", *on(trained)])
    arrays = np.load(trained / "latents.npz")
    assert arrays["latent"].shape == (len(arrays["label"]), 8)
    assert (np.diff(arrays["index"]) > 0).all()


def test_flags_beside_the_id_override_and_are_printed(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["test", *on(trained), "--model.init_args.nll_samples=0"])
    assert "model.init_args.nll_samples: 1000 -> 0" in capsys.readouterr().out
    assert "test/nll" not in json.loads((trained / "test.json").read_text())


def test_an_existing_id_continues_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(tmp_path)
    before = (run / "metrics.csv").read_text()
    cli.main(["fit", *on(run), "--trainer.max_epochs=3"])
    assert "trainer.max_epochs: 2 -> 3" in capsys.readouterr().out
    after = (run / "metrics.csv").read_text()
    assert after.startswith(before)
    assert [int(row["step"]) for row in csv.DictReader(after.splitlines()) if row["train/total"]] == list(range(9))
    assert [launch["stage"] for launch in json.loads((run / "provenance.json").read_text())] == ["fit", "fit"]


def test_continuing_equals_never_having_stopped(tmp_path: Path) -> None:
    whole = fit(tmp_path, "--trainer.max_epochs=4", "--model.init_args.scheduler=null", run_id="whole")
    parts = fit(tmp_path, "--trainer.max_epochs=2", "--model.init_args.scheduler=null", run_id="parts")
    cli.main(["fit", *on(parts), "--trainer.max_epochs=4"])
    a, b = (torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (whole, parts))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert history(whole) == history(parts)


def test_continuing_with_other_hyper_parameters_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fit", *on(trained), "--model.init_args.beta=2", "--data.init_args.batch_size=32"])
    line = capsys.readouterr().err
    assert "model.init_args.beta: 1.0 -> 2.0" in line
    assert "data.init_args.batch_size: 64 -> 32" in line
    assert len(line.strip().splitlines()) == 1


def test_override_continues_with_other_hyper_parameters(tmp_path: Path) -> None:
    run = fit(tmp_path)
    cli.main(["fit", *on(run), "--model.init_args.beta=2", "--run.override=true", "--trainer.max_epochs=3"])
    saved = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["beta"] == 2.0
    assert saved["state_dict"]["batch_step"] == 9
    with pytest.raises(SystemExit, match="2"):  # the permission was for that launch
        cli.main(["fit", *on(run), "--model.init_args.beta=3", "--trainer.max_epochs=4"])


def test_a_damaged_checkpoint_falls_back_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(tmp_path)
    last = run / "checkpoints/last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[:-100])
    cli.main(["fit", *on(run)])
    assert "last.ckpt is damaged" in capsys.readouterr().out
    again = torch.load(last, weights_only=True)["state_dict"]
    last.write_bytes(whole)
    before = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(again[name], before[name]) for name in before)  # the epoch was trained again, exactly


def test_a_run_with_augmentation_can_be_tested_by_its_id(tmp_path: Path) -> None:
    overlay = tmp_path / "augmented.yaml"
    overlay.write_text(
        """
data:
  init_args:
    augmentation:
      - class_path: torchvision.transforms.v2.RandomAffine
        init_args: {degrees: 10, translate: [0.1, 0.1]}
"""
    )
    run = fit(tmp_path, f"--config={overlay}")
    cli.main(["test", *on(run)])
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["init_args"]["augmentation"][0]["init_args"]["degrees"] == 10


def test_short_names_choose_model_and_data(tmp_path: Path) -> None:
    run = cli.main(
        ["fit", "--model=Autoencoder", "--data=Digits", "--config=configs/overlay/debug.yaml", f"--run.dir={tmp_path}"]
    ).run
    assert run.path.parent.name == "autoencoder-digits"


def test_two_runs_in_one_process_get_two_ids(tmp_path: Path) -> None:
    words = ["fit", *DIGITS, f"--run.dir={tmp_path}", "--trainer.max_epochs=1"]
    assert cli.main(words).run.path != cli.main(words).run.path


@pytest.mark.parametrize("name", ["../escape", "/tmp/escape", "a/b", "..", ".hidden", "a b", "x" * 200])
@pytest.mark.parametrize("key", ["id", "experiment"])
def test_names_cannot_lead_out_of_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, name: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fit", *DIGITS, f"--run.dir={tmp_path / 'runs'}", f"--run.{key}={name}"])
    assert f"run.{key}" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.yaml"))


def test_an_id_in_two_experiments_is_ambiguous(tmp_path: Path) -> None:
    for experiment in ("a", "b"):
        folder = tmp_path / experiment / "same"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("{}")
    with pytest.raises(ValueError, match=r"--run\.experiment"):
        RunFolder.find(RunSettings(id="same", dir=str(tmp_path)))
    found = RunFolder.find(RunSettings(id="same", experiment="b", dir=str(tmp_path)))
    assert found is not None
    assert found.path == tmp_path / "b" / "same"
