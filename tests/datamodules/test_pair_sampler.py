"""The order in which examples of two domains are paired."""

from collections import Counter
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules import BlendedDigits, Digits, DomainPair, PairSampler

SIZES = st.integers(1, 60)
SEEDS = st.integers(0, 2**31)


def pairs(source: int, target: int, world: int, **arguments: Any) -> list[list[int]]:
    return [list(PairSampler(source, target, num_replicas=world, rank=rank, **arguments)) for rank in range(world)]


@given(SIZES, SIZES, SEEDS, st.booleans())
def test_processes_share_the_pairs_of_one(source: int, target: int, seed: int, balanced: bool) -> None:
    source *= 2
    target *= 2  # no padding
    label = torch.arange(source) % 3 if balanced else None
    (alone,) = pairs(source, target, 1, seed=seed, epoch=4, label=label)
    parts = pairs(source, target, 2, seed=seed, epoch=4, label=label)
    assert [code for step in zip(*parts, strict=True) for code in step] == alone
    rest = pairs(source, target, 2, seed=seed, epoch=4, label=label, start=1)
    assert rest == [part[1:] for part in parts]


def test_balanced_source_has_every_class_equally_often() -> None:
    label = torch.tensor(50 * [0] + 5 * [1] + 3 * [2])
    order = torch.tensor(list(PairSampler(58, 100, label=label)))
    source, target = order // 100, order % 100
    assert sorted(label[source].bincount().tolist()) == [33, 33, 34]
    assert sorted(target.tolist()) == list(range(100))
    # the rare repeat evenly, and no example comes again before the others of its class
    assert set(Counter(source[label[source] == 1].tolist()).values()) <= {6, 7}
    assert set(Counter(source[label[source] == 0].tolist()).values()) == {1}
    pair = DomainPair(source=Digits(), target=BlendedDigits(), balanced=True, batch_size=100)
    batch = next(iter(pair.train_dataloader()))
    assert batch.source.label.bincount().tolist() == 10 * [10]
    assert batch.source.label.tolist() != sorted(batch.source.label.tolist())


def test_the_orders_of_the_domains_are_unrelated() -> None:
    order = torch.tensor(list(PairSampler(50, 50)))
    assert (order // 50 == order % 50).sum() < 10
