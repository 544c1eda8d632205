"""A small network that is fine-tuned block by block, and what is seen of it."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import AdamW

from callbacks import Resumption, RNGState
from datamodules import Digits
from lit_models import TransferClassifier
from networks import ImageShape

STRATEGIES: dict[str, dict[str, Any]] = {
    "full": {},
    "frozen": {"strategy": "frozen"},
    "last_blocks": {"strategy": "last_blocks", "blocks": 2},
    "gradual": {"strategy": "gradual", "schedule": [1, 2, 2]},
    "probe": {"strategy": "linear_probe_then_finetune", "probe_epochs": 2},
}


def step(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.Tanh())


def network(shape: ImageShape, num_classes: int) -> nn.Module:
    first, second, third = step(shape.channels), step(4), step(4)
    third.load_state_dict(second.state_dict())  # parameters that are equal, and not the same
    return nn.Sequential(first, nn.Dropout(0.2), second, third, nn.Flatten(), nn.Linear(4, num_classes))


ADAMW = partial(AdamW, lr=0.01, weight_decay=0.1)


def tuned(optimizer: Any = ADAMW, **arguments: Any) -> TransferClassifier:
    torch.manual_seed(0)
    return TransferClassifier((1, 8, 8), 10, network, dropout=0.2, optimizer=optimizer, **arguments)


def parts(model: Any) -> list[tuple[str, nn.Module]]:
    """The head, and the blocks from the head downwards."""
    blocks = [nn.ModuleList(block.modules) for block in reversed(model.blocks)]
    return [("head", model.head), *((str(place), block) for place, block in enumerate(blocks, 1))]


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def equal(one: Any, other: Any) -> bool:
    """Whether two states are the same bit by bit, tensors, numbers and structure."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


class Diary(Callback):
    """Notes what each epoch trained."""

    def __init__(self) -> None:
        self.moved: list[set[str]] = []
        self.trainable: list[set[str]] = []
        self.in_training: list[set[str]] = []
        self.cached: list[Any] = []
        self.before: dict[str, Any] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self.before:
            self.before = {name: state(part) for name, part in parts(pl_module)}

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx + 2 == trainer.num_training_batches:  # after a validation in mid-epoch
            named = parts(pl_module)
            self.trainable.append({name for name, part in named if all(p.requires_grad for p in part.parameters())})
            # the list around a block's modules is the test's own
            modes = {
                name: {m.training for m in part.modules() if m is not part or name == "head"} for name, part in named
            }
            assert all(len(of_part) == 1 for of_part in modes.values())
            self.in_training.append({name for name, of_part in modes.items() if of_part == {True}})
            assert self.trainable[-1] == {
                name for name, part in named if any(p.requires_grad for p in part.parameters())
            }
            self.cached.append(
                pl_module.cached and [kept is not None and tuple(kept.shape) for kept in pl_module.cached]
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        before, self.before = self.before, {}  # nothing, where a resumed run goes on with a validation
        self.moved.append({name for name, part in parts(pl_module) if before and not equal(state(part), before[name])})


def fit(folder: Path, unfreezing: Any, model: Any = None, data: Any = None, **settings: Any) -> tuple[Any, Trainer]:
    model = model or tuned()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    fixed = {"accelerator": "cpu", "devices": 1, "use_distributed_sampler": False, "num_sanity_val_steps": 0}
    callbacks = [*([unfreezing] if unfreezing else []), RNGState(), Resumption(), *settings.pop("callbacks", [])]
    resumed = settings.pop("ckpt_path", None)
    trainer = Trainer(
        **{"max_epochs": 4, "default_root_dir": folder, **quiet, **fixed, **settings}, callbacks=callbacks
    )
    trainer.fit(model, data or Digits(batch_size=256), ckpt_path=resumed, weights_only=True)
    return model, trainer


class Wide(Digits):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch._replace(image=batch.image.double())
