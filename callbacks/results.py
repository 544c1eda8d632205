"""What a command made: printed, and the metrics written as one JSON."""

import json
from collections.abc import Mapping, Sequence

from lightning.pytorch import Trainer

from callbacks.protocols import Compared
from callbacks.run_folder import RunFolder
from callbacks.run_record import write_text


def write_results(run: RunFolder, trainer: Trainer, results: Sequence[Mapping[str, float]]) -> None:
    """Write and print what an evaluation measured, in the process of rank zero.

    Args:
        run: whose folder gets `validate.json` or `test.json`.
        trainer: that has evaluated.
        results: metrics of each dataloader.
    """
    if not trainer.is_global_zero:
        return
    assert trainer.state.fn is not None
    stage = trainer.state.fn.value
    metrics: dict[str, float | str] = {name: value for part in results for name, value in sorted(part.items())}
    if isinstance(trainer.lightning_module, Compared):
        prefix = "val" if stage == "validate" else stage
        metrics |= {f"{prefix}/{name}": fact for name, fact in trainer.lightning_module.measured_with.items()}
    write_text(run.path / f"{stage}.json", json.dumps(metrics, indent=2) + "\n")
    for name, value in metrics.items():
        print(f"{name:32} {value if isinstance(value, str) else format(value, '.6g')}")


def print_written(run: RunFolder, trainer: Trainer) -> None:
    """Print the files that the callbacks wrote, and the run's folder, in the process of rank zero."""
    if trainer.is_global_zero:
        for callback in vars(trainer)["callbacks"]:
            for path in getattr(callback, "paths", []):
                print(f"wrote {path}")
        print(f"run {run.path}")
