"""
Turn keys into ranks, written down a second time from docs/format.md §4.

    >>> import numpy as np
    >>> words = np.array([[0, 0], [0, 1]], dtype=np.uint64)
    >>> [int(r) for r in ranks(words, seed=7, epoch=0)]
    [13157281623800649120, 12993189398824436161]
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def ranks(words: "npt.NDArray[np.uint64]", *, seed: int, epoch: int) -> "npt.NDArray[np.uint64]":
    """Rank of n keys, given as (n, 2) little-endian halves a, b: uint64 of shape (n,)."""
    import numpy as np

    salt = np.uint64(_salt(seed, epoch))
    return _finalise(_finalise(words[:, 0] ^ salt) ^ words[:, 1])


def _salt(seed: int, epoch: int) -> int:
    text = f"curate-rank-1\0{seed}\0{epoch}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _finalise(x: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
    """The splitmix64 finaliser; multiplication is modulo 2**64 as numpy does it."""
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(_FIRST)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_SECOND)
    return x ^ (x >> np.uint64(31))
