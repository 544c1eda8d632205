"""One seed from several integers, so that every random draw belongs to something that can be named."""

import hashlib
import struct


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
