from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from datamodules import Digits, ImageBatch
from lit_models import Classifier


def linear(shape: Any, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_terms_by_hand(smoothing: float, build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(Classifier, network=linear, label_smoothing=smoothing)
    terms = model.loss(batch)
    logits = model(batch.image)
    assert terms.total.item() == pytest.approx(F.cross_entropy(logits, batch.label, label_smoothing=smoothing).item())
    right = sum(row.argmax() == label for row, label in zip(logits, batch.label, strict=True))
    assert terms.accuracy.item() == pytest.approx(right / 200)


def test_codes_are_the_features_of_a_network_that_has_them(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(Classifier).eval()
    assert torch.equal(model.embed(batch.image), model.network.features(batch.image))
    plain = build(Classifier, network=linear)
    assert torch.equal(plain.embed(batch.image), plain(batch.image))


def test_the_predicted_class_is_the_likeliest(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(Classifier).eval()
    assert torch.equal(model.predict_step(batch, 0)["predicted"], model(batch.image).max(1).indices)


def test_it_tells_digits_apart(build: Callable[..., Any], make_trainer: Callable[..., Any]) -> None:
    model, data, trainer = build(Classifier), Digits(batch_size=32), make_trainer(max_epochs=10)
    trainer.fit(model, data)
    scores = trainer.test(model, data, verbose=False)[0]
    assert scores["test/accuracy"] > 0.95
    assert scores["test/total"] < 0.3


def test_normalisation_is_of_the_training_data_in_evaluation(build: Callable[..., Any], batch: ImageBatch) -> None:
    model = build(Classifier).eval()
    alone = torch.cat([model(image.unsqueeze(0)) for image in batch.image[:5]])
    torch.testing.assert_close(alone, model(batch.image)[:5], rtol=1e-4, atol=1e-5)
