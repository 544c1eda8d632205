"""Seeds and random numbers made from integers, so that every random draw belongs to something that can be named."""

import hashlib
import struct

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15


def derive_seed(*keys: int) -> int:
    """Mixes integers into one seed.

    Sums such as ``seed + epoch`` make run 0 in epoch 1 repeat run 1 in epoch 0. A hash does not: any two different
    tuples of keys give unrelated seeds.

    Args:
        keys: Integers that fit 64 bits with sign, in an order that matters.

    Returns:
        An integer in [0, 2**64), the BLAKE2b digest of the keys; the same on every machine.
    """
    digest = hashlib.blake2b(struct.pack(f"<{len(keys)}q", *keys), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def keyed_uniform(index: Tensor, draws: int, *keys: int) -> Tensor:
    """Draws uniform numbers for each example of a batch, without a generator.

    They are the outputs of SplitMix64 from a state made from the keys and the example's index. All are computed at once
    where the indices are, so a GPU is not waited for, and are the same on every device.

    Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).

    Args:
        index: int64 (B,), position of each example in its part of the data.
        draws: Numbers for each example.
        keys: What else the numbers belong to, see `derive_seed`.

    Returns:
        float64 (B, draws) in [0, 1).
    """
    state = _finalised(index + _signed(derive_seed(*keys)))
    steps = torch.tensor([_signed(_GOLDEN * step) for step in range(1, draws + 1)], device=index.device)
    number = _shifted(_finalised(state.unsqueeze(1) + steps), 11)
    return number.double() / 2**53


def _finalised(state: Tensor) -> Tensor:
    """SplitMix64's output function; products of int64 are taken modulo 2**64."""
    state = (state ^ _shifted(state, 30)) * _signed(0xBF58476D1CE4E5B9)
    state = (state ^ _shifted(state, 27)) * _signed(0x94D049BB133111EB)
    return state ^ _shifted(state, 31)


def _shifted(state: Tensor, bits: int) -> Tensor:
    """Shifts to the right without regard to the sign."""
    shifted: Tensor = (state >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _signed(number: int) -> int:
    """The int64 with the lowest 64 bits of a number."""
    return (number + 2**63) % 2**64 - 2**63
