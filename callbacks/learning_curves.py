"""The learning curves of a run, drawn from the metrics that it wrote."""

import csv
import sys
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.drawing import Curve, learning_curves
from callbacks.publishing import publish


class LearningCurves(Callback):
    """Draws ``media/learning_curves.png`` from the run's ``metrics.csv`` when fitting is done.

    Each term that is logged as ``train/<term>`` or ``val/<term>`` has a panel with both curves, and so has each that a
    phase of pretraining logs as ``pretrain/<phase>/<term>`` or ``pretrain/<phase>/val_<term>``. Because the file holds
    the whole run, the picture of a run that was continued shows what came before too. Without a ``metrics.csv`` in the
    run's folder, or with no such term in it, there is no picture.

    Attributes:
        paths: the picture, once it is drawn.
    """

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws, after all metrics are on disk."""
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            logger.save()
        metrics = Path(trainer.default_root_dir) / "metrics.csv"
        curves = read_curves(metrics) if metrics.is_file() else {}
        if curves:
            self.paths = [publish(trainer, "learning_curves", learning_curves(curves))]


def read_curves(path: Path) -> dict[str, dict[str, Curve]]:
    """Reads the training and validation curves of a run.

    Args:
        path: CSV with a column ``step`` and one for each metric, empty where a row has no value for it. Where a step
            occurs twice, as after a run was continued, the later row counts.

    Returns:
        Term to split (``train`` or ``val``) to (steps, values), sorted by step; ``total`` first, the others in the
        order of the file. Behind them come the terms of pretraining, named ``<phase> <term>``, phase by phase in the
        order in which they began.
    """
    values: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, cell in row.items():
                phase, split, term = _parts(name)
                if split in ("train", "val") and term:
                    curve = values.setdefault((phase, term), {}).setdefault(split, {})
                    if cell and row["step"]:
                        curve[int(row["step"])] = float(cell)
    began = {"": -1}  # the training of the whole comes first
    for (phase, _), splits in values.items():
        steps = [step for curve in splits.values() for step in curve]
        began[phase] = min([*steps, began.get(phase, sys.maxsize)])
    ordered = sorted(values.items(), key=lambda item: (began[item[0][0]], item[0] != ("", "total")))
    curves = {
        f"{phase} {term}".strip(): {split: _sorted(splits[split]) for split in ("train", "val") if splits.get(split)}
        for (phase, term), splits in ordered
    }
    return {term: splits for term, splits in curves.items() if splits}


def _parts(metric: str) -> tuple[str, str, str]:
    """Phase of pretraining, or nothing, split and term."""
    split, _, term = metric.partition("/")
    if split != "pretrain":
        return "", split, term
    phase, _, term = term.partition("/")
    return phase, "val" if term.startswith("val_") else "train", term.removeprefix("val_")


def _sorted(curve: dict[int, float]) -> Curve:
    steps = sorted(curve)
    return steps, [curve[step] for step in steps]
