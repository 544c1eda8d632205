"""metrics.csv: every logged number of a run, in one table that a continued run goes on with."""

import csv
import os
from argparse import Namespace
from itertools import islice
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class MetricsFile(Logger):
    """Logger that writes `metrics.csv`, one row for each logged step, one column for each metric.

    A row is on the disk as soon as it is logged. Lightning's own CSVLogger deletes an existing file
    when it starts; this one goes on with it.

    Args:
        folder: the run's folder.

    Attributes:
        rows: number of rows that the file has.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / "metrics.csv"
        self._columns: list[str] = ["step", "epoch"]
        self.rows = 0

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self._path.parent.parent.name

    @property
    def version(self) -> str:
        """Id of the run."""
        return self._path.parent.name

    @rank_zero_only
    def continue_from(self, rows: int) -> None:
        """Read an existing file and drop the rows that a resumed run will write again.

        Args:
            rows: number of rows that the file had when the checkpoint was made.
        """
        if self._path.exists():
            with self._path.open(newline="") as file:
                reader = csv.DictReader(file)
                kept = list(islice(reader, rows))
                self._columns = list(reader.fieldnames or self._columns)
            self._rewrite(kept)
            self.rows = len(kept)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one row."""
        row = {"step": step, **metrics}
        if new := sorted(row.keys() - set(self._columns)):
            self._columns += new
            self._rewrite(self._read())
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)
        self.rows += 1

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""

    def _read(self) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        with self._path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name("metrics.csv.part")
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, self._path)
