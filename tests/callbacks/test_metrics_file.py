"""metrics.csv across columns that come late and runs that stop and go on."""

import csv
from pathlib import Path

from callbacks import MetricsFile


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((path / "metrics.csv").open()))


def test_columns_may_come_late(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path)
    file.log_metrics({"epoch": 0, "train/total": 2.5}, step=0)
    file.log_metrics({"epoch": 0, "val/total": 3.5}, step=1)
    file.log_metrics({"epoch": 1, "train/total": 1.5}, step=2)
    assert rows(tmp_path) == [
        {"step": "0", "epoch": "0", "train/total": "2.5", "val/total": ""},
        {"step": "1", "epoch": "0", "train/total": "", "val/total": "3.5"},
        {"step": "2", "epoch": "1", "train/total": "1.5", "val/total": ""},
    ]


def test_continuing_keeps_what_was_before_and_drops_what_comes_again(tmp_path: Path) -> None:
    first = MetricsFile(tmp_path)
    for step in range(5):
        first.log_metrics({"epoch": 0, "train/total": float(step)}, step=step)
    again = MetricsFile(tmp_path)
    again.continue_from(3)
    assert again.rows == 3
    again.log_metrics({"epoch": 0, "train/total": 30.0}, step=3)
    assert again.rows == 4
    assert [row["train/total"] for row in rows(tmp_path)] == ["0.0", "1.0", "2.0", "30.0"]


def test_continuing_without_a_file_starts_one(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "new")
    file.continue_from(0)
    file.log_metrics({"epoch": 0, "train/total": 1.0}, step=0)
    assert len(rows(tmp_path / "new")) == 1


def test_rows_are_on_disk_at_once(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path)
    file.log_metrics({"train/total": 1.0}, step=0)
    assert len(rows(tmp_path)) == 1
    file.log_metrics({"train/total": 2.0}, step=1)
    assert len(rows(tmp_path)) == 2
