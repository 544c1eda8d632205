"""Fine-tuning block by block: what is frozen stays as it is, and a resumed run trains what the unbroken one does."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torchvision.transforms.v2 import RandomAffine

from callbacks import EarlyStopping, Resumption, RNGState, Unfreezing
from datamodules import Digits
from lit_models import VAE, TransferClassifier
from networks import ImageShape, MixUp

STRATEGIES: dict[str, dict[str, Any]] = {
    "full": {},
    "frozen": {"strategy": "frozen"},
    "last_blocks": {"strategy": "last_blocks", "blocks": 2},
    "gradual": {"strategy": "gradual", "schedule": [1, 2, 2]},
    "probe": {"strategy": "linear_probe_then_finetune", "probe_epochs": 2},
}
# blocks that each of four epochs trains
TRAINED = {
    "full": [3, 3, 3, 3],
    "frozen": [0, 0, 0, 0],
    "last_blocks": [2, 2, 2, 2],
    "gradual": [0, 1, 3, 3],
    "probe": [0, 0, 3, 3],
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


class Wide(Digits):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch._replace(image=batch.image.double())


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
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    os.environ["LOCAL_RANK"] = str(rank)  # Lightning starts no processes of its own
    found = {name: across_an_unfreezing(name, 16, devices=2, strategy="ddp") for name in IN_PROCESSES}
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one_across_an_unfreezing(tmp_path: Path) -> None:
    """Lightning's BackboneFinetuning leaves what it unfreezes out of the exchange of gradients (#20340)."""
    mp.spawn(process, (tmp_path,), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name in IN_PROCESSES:
        expected, start = across_an_unfreezing(name, 32), state(tuned().double())
        moved = {key for key in expected if "weight" in key and not torch.equal(expected[key], start[key])}
        assert len(moved) > 1
        for key, value in expected.items():
            for one in found:
                torch.testing.assert_close(one[name][key], value, rtol=1e-9, atol=1e-12, msg=f"{name}: {key}")


@pytest.mark.parametrize("name", ["frozen", "probe"])
def test_cached_codes_are_those_of_the_frozen_backbone(name: str, tmp_path: Path) -> None:
    ends, diaries = [], [Diary(), Diary()]
    for cache_gb, diary in zip((None, 0.0), diaries, strict=True):
        unfreezing = Unfreezing(**STRATEGIES[name], cache_gb=cache_gb)
        model, trainer = fit(
            tmp_path, unfreezing, tuned().double(), Wide(batch_size=256), precision="64-true", callbacks=[diary]
        )
        metrics = {key: value for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        assert metrics
        ends.append([*model.state_dict().values(), *metrics.values()])
        assert model.cached is None
    # validation, which comes after an epoch's last batch, has its codes kept from then on
    kept = [[(1294, 4), False], [(1294, 4), (144, 4)], [(1294, 4), (144, 4)], [(1294, 4), (144, 4)]]
    assert diaries[0].cached == (kept if name == "frozen" else [*kept[:2], None, None])
    assert diaries[1].cached[0] in (None, [False, False])
    for cached, computed in zip(*ends, strict=True):
        torch.testing.assert_close(cached, computed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("why", ["augmented", "mixed", "too large"])
def test_codes_that_change_or_do_not_fit_are_not_cached(why: str, tmp_path: Path) -> None:
    diary, model = Diary(), tuned(mixing=MixUp() if why == "mixed" else None)
    data = Digits(batch_size=256, augmentation=[RandomAffine(degrees=10)] if why == "augmented" else None)
    size = 1000 * 4 * 4 / 1e9  # of the first 1000 codes of four numbers of four bytes: validation fits
    unfreezing = Unfreezing("frozen", cache_gb=size if why == "too large" else None)
    fit(tmp_path, unfreezing, model, data, callbacks=[diary], max_epochs=2)
    validation = (144, 4) if why == "too large" else False
    assert diary.cached[1] == [False, validation]


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


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"strategy": "half"}, "unfreezing.strategy is 'half': choose one of full, frozen, "),
        ({"strategy": "last_blocks"}, "unfreezing.blocks is not given: "),
        ({"strategy": "gradual"}, "unfreezing.schedule is not given: "),
        ({"strategy": "linear_probe_then_finetune"}, "unfreezing.probe_epochs is not given: "),
        (
            {"blocks": 2},
            "unfreezing.blocks is 2: the strategy full does not use it, leave it out or choose last_blocks",
        ),
        ({"strategy": "frozen", "schedule": [1]}, r"unfreezing.schedule is \[1\]: the strategy frozen does not use it"),
        ({"strategy": "frozen", "probe_epochs": 3}, "unfreezing.probe_epochs is 3: the strategy frozen does not use"),
        ({"strategy": "last_blocks", "blocks": 0}, "unfreezing.blocks is 0: choose 1 or more, or the strategy frozen"),
        ({"strategy": "gradual", "schedule": []}, r"unfreezing.schedule is \[\]: "),
        ({"strategy": "gradual", "schedule": [-1, 2]}, r"unfreezing.schedule is \[-1, 2\]: "),
        ({"strategy": "gradual", "schedule": [3, 2]}, r"unfreezing.schedule is \[3, 2\]: .* ascending"),
        ({"strategy": "linear_probe_then_finetune", "probe_epochs": 0}, "unfreezing.probe_epochs is 0: "),
        ({"limit_epochs": 0}, "unfreezing.limit_epochs is 0: "),
        ({"strategy": "frozen", "cache_gb": -1.0}, "unfreezing.cache_gb is -1.0: "),
        ({"cache_gb": 2.0}, "unfreezing.cache_gb is 2.0: the strategy full trains blocks from the start"),
        ({"strategy": "gradual", "schedule": [0], "cache_gb": 2.0}, "unfreezing.cache_gb is 2.0: the strategy gradual"),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_or_would_be_ignored_is_one_clear_line(arguments: Any, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line}") as error:
        Unfreezing(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("unfreezing", "line"),
    [
        ({"strategy": "last_blocks", "blocks": 4}, "unfreezing.blocks is 4: the backbone has 3, "),
        (
            {"strategy": "gradual", "schedule": [0, 1, 2, 3]},
            r"unfreezing.schedule is \[0, 1, 2, 3\]: the backbone has 3 blocks, ",
        ),
        (
            {"strategy": "gradual", "schedule": [1, 4]},
            r"trainer.max_epochs is 4: unfreezing.schedule is \[1, 4\], give more than 4 epochs, ",
        ),
        (
            {"strategy": "linear_probe_then_finetune", "probe_epochs": 6},
            "trainer.max_epochs is 4: unfreezing.probe_epochs is 6, give more than 6 epochs, ",
        ),
    ],
    ids=str,
)
def test_a_plan_that_cannot_be_is_one_clear_line(unfreezing: Any, line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{line}"):
        fit(tmp_path, Unfreezing(**unfreezing))


def test_a_model_without_a_backbone_is_left_alone_or_one_clear_line(tmp_path: Path) -> None:
    model, _ = fit(tmp_path, Unfreezing(), VAE((1, 8, 8)), max_epochs=1, limit_train_batches=1)
    assert all(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(ValueError, match=r"^unfreezing.strategy is 'frozen': VAE has no backbone to freeze, "):
        fit(tmp_path, Unfreezing("frozen"), VAE((1, 8, 8)))


def test_settings_are_reached_from_the_command_line(
    errors_of: Callable[[list[str]], list[str]], tmp_path: Path
) -> None:
    words = ["fit", "--config", "configs/classifier/digits.yaml", f"--run.dir={tmp_path}"]
    (line,) = errors_of([*words, "--unfreezing.strategy=last_blocks", "--unfreezing.schedule=[1]"])
    assert "unfreezing.blocks is not given" in line
    (line,) = errors_of([*words, "--unfreezing.strategy=frozen"])
    assert "unfreezing.strategy is 'frozen': Classifier has no backbone" in line
