"""What holds for every technique of domain adaptation, and how well it adapts."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from processes import in_two_processes
from small_adaptation import METHODS, REFERENCE, SMOOTH, build, moons, steady
from torch import Tensor
from torch.optim import SGD

from lit_models import DANN, SourceOnly
from networks import KeyedNoise

LEARNED = ("dann", "dan", "deep_coral", "cdan", "cdan_e", "dsn", "drcn", "mcd")


@pytest.mark.parametrize("name", METHODS)
def test_one_bf16_step_is_close_to_a_float32_step(name: str, make_trainer: Callable[..., Trainer]) -> None:
    terms = {}
    for precision in ("32-true", "bf16-mixed"):
        model, trainer = steady(name), make_trainer(max_steps=1, precision=precision, log_every_n_steps=1)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        trainer.fit(model, moons())
        terms[precision] = {k: v.item() for k, v in trainer.callback_metrics.items() if k.startswith("train/")}
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        assert all(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    assert terms["32-true"]
    assert terms["bf16-mixed"] == {
        term: pytest.approx(value, rel=5e-2, abs=5e-3) for term, value in terms["32-true"].items()
    }


def accuracies(model: Any, make_trainer: Callable[..., Trainer]) -> tuple[float, float]:
    """What the classifier of a trained model gets right of the source and of the target, in [0, 1]."""
    trainer = make_trainer(max_epochs=100, limit_val_batches=0)
    trainer.fit(model, moons())
    trainer.test(model, moons(), verbose=False)
    source, target = (trainer.callback_metrics[f"test/{domain}_accuracy"].item() for domain in model.domains)
    return source, target


@pytest.fixture(scope="module")
def of_source_only() -> dict[Any, tuple[float, float]]:
    """Accuracies that a network reaches without adaptation, by its extractor."""
    return {}


@pytest.mark.parametrize("name", LEARNED)
def test_it_does_better_on_turned_moons_than_without_adaptation(
    name: str, make_trainer: Callable[..., Trainer], of_source_only: dict[Any, tuple[float, float]]
) -> None:
    alike = {key: METHODS[name][1].get(key, value) for key, value in SMOOTH.items()}
    alike["optimizer"] = REFERENCE.get(name, alike["optimizer"])
    if alike["extractor"] not in of_source_only:
        torch.manual_seed(0)
        of_source_only[alike["extractor"]] = accuracies(SourceOnly((2,), 2, **alike), make_trainer)
    source, target = of_source_only[alike["extractor"]]
    assert source > 0.95
    adapted_source, adapted_target = accuracies(build(name), make_trainer)
    assert adapted_source > 0.9
    assert adapted_target > target + 0.05


def two_steps(name: str, batch_size: int, **processes: Any) -> dict[str, Tensor]:
    """Weights after two steps in float64, of SGD, which forgives no gradient that is off by a factor."""
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "use_distributed_sampler")
    settings = dict.fromkeys(quiet, False) | {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "64-true",
        "max_steps": 2,
    }
    trainer = Trainer(**{**settings, "limit_val_batches": 0, **processes})
    model = steady(name, **{key: partial(SGD, lr=0.001) for key in METHODS[name][1] if key.endswith("optimizer")})
    model.noise = lambda batch: KeyedNoise(batch.index)  # of the example, whichever process has it
    trainer.fit(model, moons(batch_size=batch_size))
    return model.state_dict()  # type: ignore[no-any-return]


def process(rank: int, folder: Path) -> None:
    found = {name: two_steps(name, 16, devices=2, strategy="ddp") for name in METHODS}
    torch.save(found, folder / f"{rank}.pt")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    in_two_processes(process, tmp_path)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name in METHODS:
        expected, start = two_steps(name, 32), build(name).state_dict()
        assert any(not torch.equal(expected[key].float(), start[key]) for key in start if "weight" in key)
        for key, value in expected.items():
            for one in found:
                torch.testing.assert_close(one[name][key], value, rtol=1e-9, atol=1e-12, msg=f"{name}: {key}")


class Strengths(Callback):
    """Remembers lambda of each batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, module: Any, *args: Any) -> None:
        self.seen.append(module.strength.item())


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 16), (2, 8), (3, 8)])
@pytest.mark.parametrize("length", ["max_epochs", "max_steps"])
def test_lambda_rises_over_the_batches_of_the_run(
    length: str, accumulate: int, steps: int, make_trainer: Callable[..., Trainer]
) -> None:
    strengths, end = Strengths(), {"max_epochs": 4, "max_steps": steps}[length]
    settings: dict[str, Any] = {"accumulate_grad_batches": accumulate, "limit_val_batches": 0, length: end}
    trainer = make_trainer(callbacks=[strengths], **settings)
    trainer.fit(DANN((2,), 2, weight=3.0, ramp=5.0), moons(batch_size=75))  # 4 batches an epoch
    expected = [3 * (2 / (1 + math.exp(-5 * n / 16)) - 1) for n in range(16)]
    assert strengths.seen == pytest.approx(expected, rel=1e-5)
