"""What the classes are called."""

from collections.abc import Sequence

from lightning.pytorch import Trainer


def class_names(trainer: Trainer, at_least: int) -> Sequence[str]:
    """Names of the classes that the data tell, or numbers if those are fewer than needed."""
    names = getattr(getattr(trainer, "datamodule", None), "class_names", None) or ()
    return names if len(names) >= at_least else [str(place) for place in range(at_least)]
