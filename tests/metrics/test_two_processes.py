"""Metrics of sets of examples over two real processes, whose shares are unequal."""

from pathlib import Path

import pytest
import torch
from processes import in_two_processes
from torchmetrics import Metric

from metrics import (
    BatchNuclearNorm,
    ClassAMI,
    DeepEmbeddedValidation,
    Diversity,
    FrechetDistance,
    InformationMaximisation,
    KernelDistance,
    ModeCoverage,
    PrecisionRecall,
    PredictionEntropy,
    ProxyADistance,
    TranslationScores,
)

generator = torch.Generator().manual_seed(0)
real = torch.randn(90, 3, generator=generator)
generated = 0.6 * torch.randn(70, 3, generator=generator) + 0.5


def scores(real: torch.Tensor, generated: torch.Tensor) -> dict[str, float]:
    metrics: dict[str, Metric] = {
        "frechet": FrechetDistance(3),
        "polynomial": KernelDistance("polynomial"),
        "energy": KernelDistance("energy"),
        "precision_recall": PrecisionRecall(),
        "diversity": Diversity(3),
    }
    for metric in metrics.values():
        for is_real, features in ((True, real), (False, generated)):
            for batch in features.split(32) if len(features) else ():
                metric.update(batch, real=is_real)
    metrics["coverage"] = ModeCoverage(torch.eye(3), 0.5)
    metrics["coverage"].update(generated)
    metrics |= of_domains(real, generated)
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        value = metric.compute()
        parts = value._asdict() if isinstance(value, tuple) else {"": value}
        found |= {f"{name}.{part}": number.item() for part, number in parts.items()}
    return found


def of_domains(source: torch.Tensor, target: torch.Tensor) -> dict[str, Metric]:
    """Scores of a model of the target, which has fewer than it may use and of which the source has more."""
    predictions: dict[str, Metric] = {
        "im": InformationMaximisation(),
        "entropy": PredictionEntropy(),
        "bnm": BatchNuclearNorm(),
    }
    clusters, risk, distance = ClassAMI(60), DeepEmbeddedValidation(80), ProxyADistance(80)
    for batch in target.split(32):
        for metric in predictions.values():
            metric.update(batch)
        clusters.update(batch, batch)
        risk.update(batch)
        distance.update(batch, "target")
    for batch in source.split(32) if len(source) else ():
        risk.update(batch, batch[:, 0].exp())
        distance.update(batch, "source")
    return predictions | {"ami": clusters, "dev": risk, "a": distance}


def process(rank: int, folder: Path) -> None:
    mine = (real[:0], generated[:64]) if rank == 0 else (real, generated[64:])  # one has nothing real
    torch.save(scores(*mine), folder / f"{rank}.pt")


def test_two_processes_score_like_one(tmp_path: Path) -> None:
    in_two_processes(process, tmp_path)
    expected = scores(real, generated)
    assert len(expected) == 15
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(expected, rel=1e-9)


SENTENCES = ["one two three four", "zwei", "", "drei vier fünf", "one two three four five six"]


def translation_scores(sentences: list[str]) -> dict[str, float]:
    metric = TranslationScores()
    for text in sentences:
        metric.update([text], [text.replace("one", "ein")], [text])
    return {name: value.item() for name, value in metric.compute().items()}


def translate(rank: int, folder: Path) -> None:
    torch.save(translation_scores(SENTENCES[:1] if rank == 0 else SENTENCES[1:]), folder / f"{rank}.pt")


def test_two_processes_score_translations_like_one(tmp_path: Path) -> None:
    in_two_processes(translate, tmp_path)
    expected = translation_scores(SENTENCES)
    assert 0 < expected["bleu"] < 100
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(expected)
