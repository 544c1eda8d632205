"""Naming and finding runs."""

from pathlib import Path

import pytest

from callbacks import RUN_ID_VARIABLE, RunFolder, RunSettings


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
