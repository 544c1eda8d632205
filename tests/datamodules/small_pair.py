"""A small pair of domains, and what trains on pairs."""

from typing import Any

from lightning.pytorch import Callback, Trainer

from datamodules import DomainPair, TwoMoons

QUIET: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


def trainer(*callbacks: Callback, max_epochs: int = 1) -> Trainer:
    return Trainer(accelerator="cpu", max_epochs=max_epochs, num_sanity_val_steps=0, callbacks=list(callbacks), **QUIET)


def moons(source: int = 100, target: int = 230, **arguments: Any) -> DomainPair:
    one = TwoMoons(train_size=source, val_size=30, test_size=20)
    other = TwoMoons(rotation=35, train_size=target, val_size=50, test_size=40)
    return DomainPair(source=one, target=other, **{"batch_size": 40, "seed": 3} | arguments)
