"""Seeded choices by class: a split that keeps their proportions, and a few examples of each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from datamodules.seeding import derive_seed


def stratified_split(label: Tensor, fraction: float, *keys: int, name: str = "fraction") -> tuple[Tensor, Tensor]:
    """Divides examples in two such that each class is divided in the same proportion, up to one example.

    The second part has `round(fraction * N)` examples. Each class gives the whole part of its share, and the
    classes with the largest remainders give one more (the method of largest remainders).

    Args:
        label: int64 (N,), class of each example; all equal for examples without classes.
        fraction: Share of the second part, in [0, 1).
        keys: Integers that name the draw, a seed first.
        name: The setting that gave the share, for the error.

    Returns:
        Positions of the first and of the second part, int64, each in ascending order; together every position once.

    Raises:
        ValueError: If a positive fraction leaves one of the parts empty.
    """
    total = len(label)
    wanted = round(fraction * total)
    if fraction > 0 and not 0 < wanted < total:
        raise ValueError(f"{name}={fraction} of {total} examples leaves an empty part: change it or add examples")
    _, label, counts = torch.unique(label, return_inverse=True, return_counts=True)
    share = counts * fraction
    quota = share.floor().long()
    remainder_order = (share - quota).argsort(descending=True, stable=True)
    quota[remainder_order[: wanted - int(quota.sum())]] += 1

    shuffled = torch.randperm(total, generator=torch.Generator().manual_seed(derive_seed(*keys)))
    grouped = shuffled[label[shuffled].argsort(stable=True)]
    place_in_class = torch.arange(total) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    held_out = place_in_class < quota.repeat_interleave(counts)
    return grouped[~held_out].sort().values, grouped[held_out].sort().values


def few_of_each(label: Tensor, count: int, class_names: Sequence[str], examples: str, *keys: int) -> Tensor:
    """Chooses as many examples of each class; a smaller number chooses some of the same.

    Args:
        label: int64 (N,), class of each example.
        count: Examples of a class, the argument `train_per_class`.
        class_names: What the classes are called; none for examples without.
        examples: What they are called themselves, for the error.
        keys: Integers that name the draw, a seed first.

    Returns:
        Positions, int64, in ascending order.

    Raises:
        ValueError: If there are no classes, or one has fewer examples.
    """
    if not class_names:
        raise ValueError(f"train_per_class={count} needs classes: leave it out for {examples} without labels")
    shuffled = torch.randperm(len(label), generator=torch.Generator().manual_seed(derive_seed(*keys)))
    chosen = []
    for place, name in enumerate(class_names):
        of_class = shuffled[label[shuffled] == place]
        if len(of_class) < count:
            raise ValueError(
                f"train_per_class={count} is more than the {len(of_class)} training {examples} of class {name!r}: "
                "choose fewer"
            )
        chosen.append(of_class[:count])
    return torch.cat(chosen).sort().values
