"""Naming and finding runs."""

from pathlib import Path
from typing import Any

import pytest

from callbacks import RUN_ID_VARIABLE, RunFolder, RunSettings, default_experiment


def test_a_made_id_is_shared_with_the_processes_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    first = RunFolder.create(RunSettings(), "vae-digits")
    assert RunFolder.create(RunSettings(), "vae-digits") == first
    monkeypatch.delenv(RUN_ID_VARIABLE)
    assert RunFolder.create(RunSettings(), "vae-digits") != first
    monkeypatch.delenv(RUN_ID_VARIABLE)


def test_a_requeued_job_finds_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1234")
    assert RunFolder.create(RunSettings(), "vae-digits").path == Path("runs/vae-digits/slurm-1234")


def test_torchrun_must_be_given_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"--run\.id is needed under torchrun"):
        RunFolder.create(RunSettings(), "vae-digits")
    assert RunFolder.create(RunSettings(id="given"), "vae-digits").id == "given"


def test_a_folder_without_config_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "experiment" / "id").mkdir(parents=True)
    assert RunFolder.find(RunSettings(id="id", dir=str(tmp_path))) is None


@pytest.mark.parametrize(
    ("technique", "name"),
    [
        ("SparseAutoencoder", "sparse_autoencoder"),
        ("SourceOnly", "source_only"),
        ("DANN", "dann"),
        ("CDAN", "cdan"),
        ("MCD", "mcd"),
        ("DeepCORAL", "deep_coral"),
        ("ViT", "vit"),
    ],
)
def test_an_experiment_is_named_by_the_technique_and_the_data(technique: str, name: str) -> None:
    assert default_experiment(f"lit_models.some.{technique}", {"class_path": "datamodules.MNIST"}) == f"{name}-mnist"


def test_a_pair_of_domains_is_named_by_both() -> None:
    def pair(source: str, target: str) -> dict[str, Any]:
        settings = {"source": {"class_path": source}, "target": {"class_path": target}, "batch_size": 64}
        return {"class_path": "datamodules.DomainPair", "init_args": settings}

    assert default_experiment("lit_models.DANN", pair("datamodules.MNIST", "datamodules.USPS")) == "dann-mnist-usps"
    assert default_experiment("lit_models.DANN", pair("datamodules.TwoMoons", "own.TwoMoons")) == "dann-twomoons"


def test_what_is_only_called_source_is_no_domain() -> None:
    data = {"class_path": "own.Speech", "init_args": {"source": "microphone"}}
    assert default_experiment("lit_models.VAE", data) == "vae-speech"
