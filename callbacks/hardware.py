"""Whether this machine has the devices that a configuration asks for."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.strategies import StrategyRegistry

from callbacks.settings import nearest

_ALSO = {"gpu": ("cuda", "mps"), "auto": ("tpu", "cuda", "mps", "cpu")}


def hardware_problems(trainer: Mapping[str, Any]) -> list[str]:
    """List what is wrong with the accelerator, the devices and the strategy of a Trainer.

    Args:
        trainer: its resolved arguments. A class in the place of a name is left to the Trainer.
    """
    problems = []
    accelerator, devices, strategy = (trainer[key] for key in ("accelerator", "devices", "strategy"))
    strategies = ["auto", *StrategyRegistry.available_strategies()]
    if isinstance(strategy, str) and strategy not in strategies:
        problems.append(f"trainer.strategy: there is no {strategy!r}{nearest(strategy, strategies)}")
    if not isinstance(accelerator, str):
        return problems
    names = _ALSO.get(accelerator, (accelerator,))
    known = [*_ALSO, *sorted(AcceleratorRegistry.available_accelerators())]
    if accelerator not in known:
        problems.append(f"trainer.accelerator: there is no {accelerator!r}{nearest(accelerator, known)}")
        return problems
    found = next((name for name in names if AcceleratorRegistry[name]["accelerator"].is_available()), None)
    if found is None:
        problems.append(
            f"trainer.accelerator: this machine has no {accelerator} that PyTorch can use, choose cpu or auto"
        )
    elif problem := _devices_problem(devices, found):
        problems.append(f"trainer.devices: {problem}")
    return problems


def _devices_problem(devices: Any, accelerator: str) -> str | None:
    there = AcceleratorRegistry[accelerator]["accelerator"].auto_device_count()
    listed = devices if isinstance(devices, list) else None
    if isinstance(devices, str) and "," in devices:
        listed = [int(part) for part in devices.split(",") if part.strip().isdigit()]
    if listed is not None and accelerator != "cpu":
        absent = [number for number in listed if not 0 <= number < there]
        return f"there is no device {absent[0]}, this machine has {there} ({accelerator})" if absent else None
    try:
        number = int(devices)
    except (TypeError, ValueError):
        return None  # auto, or what only the Trainer understands
    if number == 0 or number < -1 or (number == -1 and accelerator == "cpu"):
        return f"{number} is impossible, choose 1 or more, or auto"
    if accelerator != "cpu" and number > there:
        return f"{number} were asked for, this machine has {there} ({accelerator})"
    return None
