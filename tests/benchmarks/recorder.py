"""What stands in for the runs that a benchmark makes."""

import json
from collections.abc import Mapping
from pathlib import Path


class Recorder:
    """Notes the words of runs, and writes what their tests would.

    Args:
        tested: the results of every test.
    """

    def __init__(self, tested: Mapping[str, float]) -> None:
        self.tested = tested
        self.words: list[tuple[str, ...]] = []

    def __call__(self, *words: str) -> None:
        self.words.append(words)
        given = dict(word.split("=", 1) for word in words if "=" in word)
        folder = Path(given["--run.dir"], given["--run.experiment"], given["--run.id"])
        folder.mkdir(parents=True, exist_ok=True)
        self.write(words[0], given, folder)

    def write(self, stage: str, given: Mapping[str, str], folder: Path) -> None:
        if stage == "test":
            (folder / "test.json").write_text(json.dumps(self.tested))

    @property
    def stages(self) -> list[str]:
        return [words[0] for words in self.words]
