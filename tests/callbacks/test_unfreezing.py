"""Fine-tuning block by block: what is frozen stays as it is, and a resumed run trains what the unbroken one does."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from processes import in_two_processes
from torch import Tensor, nn
from torch.optim import SGD
from unfrozen import STRATEGIES, Diary, Wide, equal, fit, state, tuned

from callbacks import EarlyStopping, Unfreezing

# blocks that each of four epochs trains
TRAINED = {
    "full": [3, 3, 3, 3],
    "frozen": [0, 0, 0, 0],
    "last_blocks": [2, 2, 2, 2],
    "gradual": [0, 1, 3, 3],
    "probe": [0, 0, 3, 3],
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_epoch_trains_what_the_strategy_says_and_nothing_else(name: str, tmp_path: Path) -> None:
    diary = Diary()
    fit(tmp_path, Unfreezing(**STRATEGIES[name]), callbacks=[diary], val_check_interval=2)
    expected = [{"head", *map(str, range(1, trained + 1))} for trained in TRAINED[name]]
    assert diary.trainable == expected
    assert diary.in_training == expected
    assert diary.moved == expected  # weight decay and running statistics are movements, too


def test_batch_norm_is_frozen_with_its_block(tmp_path: Path) -> None:
    """Lightning's BackboneFinetuning leaves it trainable (#13902, #21531), and in training mode."""
    model = tuned()
    before = state(model.backbone)
    image = torch.rand(50, 1, 8, 8) ** 2
    evaluated = model.eval().embed(image)
    norms = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    seen = []

    class InTraining(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
            assert pl_module.training
            assert not any(module.training for module in pl_module.backbone.modules())
            assert not any(norm.training or norm.weight.requires_grad or norm.bias.requires_grad for norm in norms)
            with torch.no_grad():
                seen.append(pl_module.embed(image))

    fit(tmp_path, Unfreezing("frozen"), model.train(), callbacks=[InTraining()], max_epochs=2)
    assert len(norms) == 3
    assert all(equal(evaluated, one) for one in seen)  # of the running statistics, not of the batch
    assert equal(before, state(model.backbone))


def test_every_parameter_is_in_one_group_from_the_start(tmp_path: Path) -> None:
    """Lightning's BackboneFinetuning tells them apart by their values, and takes equal ones for the same."""
    groups: list[list[int]] = []

    class Groups(Callback):
        def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
            groups.append([id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]])

    diary = Diary()
    model, _ = fit(tmp_path, Unfreezing(**STRATEGIES["gradual"]), callbacks=[diary, Groups()])
    assert all(sorted(group) == sorted(map(id, model.parameters())) for group in groups)
    assert {"1", "2"} <= diary.moved[-1]
    two, three = (block.parameters for block in model.blocks[1:])
    assert not any(map(torch.equal, two, three))


def test_a_frozen_parameter_has_no_state_in_the_optimizer(tmp_path: Path) -> None:
    model, trainer = fit(tmp_path, Unfreezing("last_blocks", blocks=1))
    held = {id(parameter) for parameter in trainer.optimizers[0].state}
    assert held == {id(p) for p in [*model.head.parameters(), *model.blocks[-1].parameters]}


class KilledError(Exception):
    """Stands in for a signal."""


class Kill(Callback):
    """Saves a checkpoint at a moment of a training, and ends it there."""

    def __init__(self, moment: str, at: int, path: Path) -> None:
        self.moment, self.at, self.path = moment, at, path

    def _now(self, trainer: Trainer, moment: str, at: int) -> None:
        if (moment, at) == (self.moment, self.at):
            trainer.save_checkpoint(self.path)
            raise KilledError

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._now(trainer, "batch", int(pl_module.batch_step))

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._now(trainer, "validation", int(pl_module.batch_step))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._now(trainer, "save", int(pl_module.batch_step))


BATCHES = 4  # of an epoch, of which each strategy's unfreezing is at a multiple
MOMENTS = [
    ("batch", 1 * BATCHES),  # the first of an epoch
    ("validation", 2 * BATCHES),  # of the epoch before
    ("save", 2 * BATCHES),
    ("batch", 2 * BATCHES),
    ("batch", 2 * BATCHES + 1),
    ("batch", 3 * BATCHES + 2),
]


@pytest.mark.parametrize("name", ["frozen", "gradual", "probe"])
def test_a_run_resumes_exactly_at_and_after_every_unfreezing(name: str, tmp_path: Path) -> None:
    """Lightning's BackboneFinetuning freezes again what was unfrozen (#21901)."""
    settings: dict[str, Any] = {"limit_train_batches": BATCHES}

    def outcome(model: Any, trainer: Trainer) -> Any:
        metrics = dict(trainer.callback_metrics)
        frozen = [parameter.requires_grad for parameter in model.parameters()]
        return [state(model), trainer.optimizers[0].state_dict(), metrics, frozen]

    unbroken = outcome(*fit(tmp_path, Unfreezing(**STRATEGIES[name]), **settings))
    for number, (moment, at) in enumerate(MOMENTS):
        path = tmp_path / f"{number}.ckpt"
        with pytest.raises(KilledError):
            fit(tmp_path, Unfreezing(**STRATEGIES[name]), callbacks=[Kill(moment, at, path)], **settings)
        diary = Diary()
        resumed = fit(tmp_path, Unfreezing(**STRATEGIES[name]), callbacks=[diary], ckpt_path=path, **settings)
        assert equal(unbroken, outcome(*resumed)), (moment, at)
        trained = TRAINED[name][-len(diary.trainable) :]
        assert [len(names) - 1 for names in diary.trainable] == trained


IN_PROCESSES = ("last_blocks", "gradual", "probe")


def across_an_unfreezing(name: str, batch_size: int, **processes: Any) -> Any:
    """Weights in float64 of SGD, which forgives no gradient that is off by a factor."""
    settings: dict[str, Any] = {"precision": "64-true", "limit_train_batches": 1, "limit_val_batches": 0, **processes}
    model = tuned(partial(SGD, lr=0.05, weight_decay=0.1, momentum=0.9))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.BatchNorm2d):  # whose mean is over the process's own part of a batch
            module.forward = partial(as_in_evaluation, module)  # type: ignore[method-assign]
    return state(fit(Path(), Unfreezing(**STRATEGIES[name]), model, Wide(batch_size=batch_size), **settings)[0])


def as_in_evaluation(norm: Any, x: Tensor) -> Tensor:
    return nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def process(rank: int, folder: Path) -> None:
    found = {name: across_an_unfreezing(name, 16, devices=2, strategy="ddp") for name in IN_PROCESSES}
    torch.save(found, folder / f"{rank}.pt")


def test_two_processes_equal_one_across_an_unfreezing(tmp_path: Path) -> None:
    """Lightning's BackboneFinetuning leaves what it unfreezes out of the exchange of gradients (#20340)."""
    in_two_processes(process, tmp_path)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name in IN_PROCESSES:
        expected, start = across_an_unfreezing(name, 32), state(tuned().double())
        moved = {key for key in expected if "weight" in key and not torch.equal(expected[key], start[key])}
        assert len(moved) > 1
        for key, value in expected.items():
            for one in found:
                torch.testing.assert_close(one[name][key], value, rtol=1e-9, atol=1e-12, msg=f"{name}: {key}")


def test_the_waits_between_unfreezings_can_be_limited(tmp_path: Path) -> None:
    for strategy in ({"strategy": "gradual", "schedule": [5, 9, 9]}, STRATEGIES["probe"] | {"probe_epochs": 40}):
        diary = Diary()
        fit(tmp_path, Unfreezing(**strategy, limit_epochs=1), callbacks=[diary], max_epochs=3)  # type: ignore[arg-type]
        expected = [0, 1, 3] if "schedule" in strategy else [0, 3, 3]
        assert [len(names) - 1 for names in diary.trainable] == expected


def test_a_second_fit_trains_what_its_own_strategy_says(tmp_path: Path) -> None:
    model, _ = fit(tmp_path, Unfreezing("frozen"), max_epochs=1)
    diary = Diary()
    fit(tmp_path, Unfreezing(), model, callbacks=[diary], max_epochs=1)
    assert diary.moved == [{"head", "1", "2", "3"}]


def test_a_run_that_ends_before_the_last_block_is_unfrozen_says_so(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="training ended with 1 of 3 blocks unfrozen: .* unfreezing.schedule"):
        fit(tmp_path, Unfreezing(**STRATEGIES["gradual"]), max_steps=8)


@pytest.mark.parametrize(("name", "last"), [("full", 1), ("gradual", 3), ("probe", 3), ("frozen", 1)])
def test_patience_is_counted_from_the_last_unfreezing(name: str, last: int, tmp_path: Path) -> None:
    stopping = EarlyStopping(patience=1, min_delta=100)  # nothing is an improvement but the first value
    fit(tmp_path, Unfreezing(**STRATEGIES[name]), callbacks=[stopping], max_epochs=6)
    assert stopping.stopped_epoch == last
