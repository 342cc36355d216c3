"""
Turn keys, a seed and an epoch into the order in which documents are taken.

A rank is a function of nothing but the key, the seed and the epoch, so that the order does not
depend on workers, files or arrival, and a smaller amount is a prefix of a larger one:

    >>> keys = np.array([[1, 2], [3, 4]], dtype=np.uint64)
    >>> [f"{r:016x}" for r in ranks(keys, seed=7, epoch=0)]
    ['cc8eb1853c9c0dd2', '4c7683b280cb3be1']

docs/format.md §4 defines it; the finaliser is splitmix64's (Steele, Lea and Flood 2014).
"""

import hashlib

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

DOCUMENTS = b"curate-rank-1"
"""Domain of the order in which documents are taken into mixes."""
HOLDOUT = b"curate-holdout-1"
"""Domain of the order in which groups are held out: unrelated to the other."""


def salt(seed: int, epoch: int, domain: bytes = DOCUMENTS) -> int:
    """First 8 bytes (little-endian) of sha256(domain, 0, decimal seed, 0, decimal epoch)."""
    text = domain + b"\0" + str(seed).encode() + b"\0" + str(epoch).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def ranks(words: Words, seed: int, epoch: int, domain: bytes = DOCUMENTS) -> Words:
    """Ranks (n,) of keys given as (n, 2) little-endian words a, b."""
    mixed = _mix(words[:, 0] ^ np.uint64(salt(seed, epoch, domain)))
    mixed ^= words[:, 1]
    return _mix(mixed)


def in_order(rank: Words, words: Words) -> npt.NDArray[np.intp]:
    """The permutation that sorts by (rank, key as bytes)."""
    order = np.argsort(rank)
    ranked = rank[order]
    tied = np.flatnonzero(ranked[1:] == ranked[:-1])
    if len(tied):
        # Equal ranks are rarer than one in 2^64 / n² tables: sorting all again may cost.
        order = np.lexsort((words[:, 1].byteswap(), words[:, 0].byteswap(), rank))
    return order


def _mix(x: Words) -> Words:
    """The splitmix64 finaliser, in place (arithmetic modulo 2^64)."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
