"""The network of a run of this package, for another model to begin with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lit_models.base import Technique
from networks import ImageShape, Pretrained, at_domain

RUNS = Path("runs")


def checkpoint_of_run(name: str) -> Path | None:
    """The best checkpoint of a run, or its newest if it has no best, by its folder or by its id; None if there is none.

    Raises:
        ValueError: if several experiments have a run of that id, or the run has no checkpoint.
    """
    folders = [Path(name)] if Path(name).is_dir() else []
    if not folders and Path(name).name == name:
        folders = sorted(path for path in RUNS.glob(f"*/{name}") if path.is_dir())
    if len(folders) > 1:
        found = ", ".join(str(path) for path in folders)
        raise ValueError(f"weights is {name!r}: several experiments have such a run ({found}), give its folder")
    if not folders:
        return None
    for checkpoint in ("best.ckpt", "last.ckpt"):
        path = folders[0] / "checkpoints" / checkpoint
        if path.is_file():
            return path
    raise ValueError(f"weights is {name!r}: {folders[0]} has no checkpoints/best.ckpt, give a run that was trained")


def network_of_checkpoint(path: Path, content: Mapping[str, Any], state: Mapping[str, Tensor]) -> Pretrained:
    """What a checkpoint of a technique tells of its network; of other checkpoints, only the weights.

    A network that normalises two domains each by its own statistics goes on with those of the target.

    Args:
        path: of the checkpoint.
        content: what it holds.
        state: the weights in it.
    """
    settings = content.get("hyper_parameters")
    if not isinstance(settings, Mapping) or "arguments_in_code" not in content:
        return Pretrained(str(path), state)
    size = settings.get("image_shape") or settings.get("data_shape") or ()
    shape = ImageShape(*size) if len(size) == 3 else None
    known = _class_of(str(settings.get("_class_path")))
    part = None if known is None else known.pretrained_part
    if known is None or shape is None or part is None:
        return Pretrained(str(path), state, shape)
    prefix = f"{part.name}."
    if any(name.startswith(f"{prefix}backbone.") for name in state):
        shape = None  # that network prepares images itself, of any shape

    def network() -> nn.Module:
        try:
            model = known.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        except (RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"weights is {str(path)!r}: its network cannot be built again ({reason}), name the backbone"
            ) from None
        found = model.get_submodule(part.name)
        at_domain(found, "target")
        return found

    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return Pretrained(str(path), own, shape, network=network, headless=part.headless)


def _class_of(class_path: str) -> type[Technique] | None:
    """The technique of that name, among those that are imported."""
    kinds = [Technique]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next((kind for kind in kinds if kind.__name__ == class_path.rpartition(".")[2]), None)
