"""What two domains must have in common to be a pair, and what is set for both at once."""

import inspect
from typing import Any

from datamodules.images import ImageDataModule
from datamodules.points import DrawnPoints
from datamodules.resumable import ResumableDataModule

Domain = ImageDataModule | DrawnPoints
"""What can be one of a pair: data with a shape and with classes."""

_NOT_OF_A_TARGET = {
    "train_per_class": "reads labels of the target",
    "generated": "adds images to the target that are not of it",
}


def one_domain(name: str, data: ResumableDataModule[Any]) -> Domain:
    """Refuse what is not data of one domain.

    Args:
        name: "source" or "target".
        data: Any data.

    Returns:
        The same.

    Raises:
        ValueError: If they are neither images nor points.
    """
    if not isinstance(data, ImageDataModule | DrawnPoints):
        raise ValueError(f"{name} is a {type(data).__name__}: choose data of one domain, images or points")
    return data


def refuse_ignored_settings(name: str, domain: Domain) -> None:
    """Refuse settings of one domain that the pair has in its place, or that a target cannot have.

    Args:
        name: "source" or "target".
        domain: The data.

    Raises:
        ValueError: Naming the first of them.
    """
    for setting, parameter in inspect.signature(ResumableDataModule.__init__).parameters.items():
        if parameter.kind == parameter.KEYWORD_ONLY and (value := getattr(domain, setting)) != parameter.default:
            raise ValueError(f"{name}.{setting}={value!r} would be ignored: set the pair's {setting}")
    if name == "target":
        for setting, reason in _NOT_OF_A_TARGET.items():
            if (value := getattr(domain, setting, None)) is not None:
                raise ValueError(f"target.{setting}={value!r} {reason}: leave it out")


def refuse_misfits(source: Domain, target: Domain) -> None:
    """Refuse two domains of different kinds, classes or sizes; a target without classes fits any.

    Args:
        source: The domain with labels.
        target: The other one.

    Raises:
        ValueError: Naming the first difference.
    """
    kinds = [isinstance(domain, ImageDataModule) for domain in (source, target)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"source={type(source).__name__} and target={type(target).__name__} are images and points: "
            "choose two of one kind"
        )
    names, others = (tuple(domain.class_names) for domain in (source, target))
    if not names:
        raise ValueError(f"source={type(source).__name__} has no labels: sort its pictures into folders of classes")
    unlabelled = isinstance(target, ImageDataModule) and not others
    if len(names) != len(others) and not unlabelled:
        raise ValueError(
            f"the source has {len(names)} classes and the target {len(others)}: choose domains with the same classes"
        )
    if names != others and not unlabelled:
        one, other = next((one, other) for one, other in zip(names, others, strict=True) if one != other)
        raise ValueError(
            f"class {one!r} of the source is {other!r} in the target: choose domains with the same classes"
        )
    shape, other_shape = source.data_shape, target.data_shape
    if kinds[0] and shape[1:] != other_shape[1:]:
        raise ValueError(
            f"images of {shape[1]}x{shape[2]} in the source and {other_shape[1]}x{other_shape[2]} in the target: "
            "set image_size of one to the other's"
        )
    if kinds[0] and shape[0] != other_shape[0] and 1 not in (shape[0], other_shape[0]):
        raise ValueError(f"the source has {shape[0]} channels and the target {other_shape[0]}: set grayscale of both")
    if not kinds[0] and shape != other_shape:
        raise ValueError(
            f"points of {shape[0]} and of {other_shape[0]} dimensions: choose domains with the same number"
        )
