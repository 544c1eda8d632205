"""What every test may use."""

import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from undrawn import undrawn

import cli

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden-losses", action="store_true", help="replace the golden losses by those of now")


@pytest.fixture(autouse=True)
def _at_home_and_untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from the repository, without an account, without the environment of another run."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in ("ESPALIER_RUN_ID", "SLURM_JOB_ID", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def no_drawing() -> Iterator[None]:
    """The figures of a module's runs are laid out, but not drawn."""
    with undrawn():
        yield


@pytest.fixture
def errors_of(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], list[str]]:
    """Runs a command that a user's mistake has to end, and gives the lines that name the mistakes."""

    def run(words: list[str]) -> list[str]:
        with pytest.raises(SystemExit, match="2"):
            cli.main(words)
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return [line for line in err.splitlines() if line.startswith("error: ")]

    return run


@pytest.fixture(scope="session")
def mnist_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that torchvision reads as MNIST: random images in the official file format."""
    root = tmp_path_factory.mktemp("sets")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", 300), ("t10k", 60)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = {
            "images-idx3-ubyte": struct.pack(">IIII", 0x803, count, 28, 28),
            "labels-idx1-ubyte": struct.pack(">II", 0x801, count),
        }
        for (name, head), values in zip(header.items(), (images, labels), strict=True):
            data = head + values.tobytes()
            (raw / f"{part}-{name}").write_bytes(data)
            (raw / f"{part}-{name}.gz").write_bytes(gzip.compress(data))
    return root


@pytest.fixture(scope="session")
def picture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own folder: two classes of pictures of unequal sizes."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (root / kind).mkdir()
        for number in range(20):
            size = (int(generator.integers(50, 90)), int(generator.integers(50, 90)), 3)
            pixels = generator.integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(root / kind / f"{number}.png")
    return root
