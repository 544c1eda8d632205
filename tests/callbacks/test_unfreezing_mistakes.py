"""Plans of unfreezing that cannot be, or would be ignored: each is one clear line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unfrozen import fit

from callbacks import Unfreezing
from lit_models import VAE


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
