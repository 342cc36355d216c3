"""
Turn spans scattered over one array of ids into spans laid out in another.

A span is (first id, number of ids). No Python object is made per token; short spans are moved by
computed indices, long ones by one memory copy each, whichever is faster for their mean length:

    >>> import numpy as np
    >>> pool = np.array([10, 11, 12, 20, 21, 30], dtype=np.uint16)
    >>> gather(pool, np.array([5, 0]), np.array([1, 3])).tolist()
    [30, 10, 11, 12]
    >>> shard = np.zeros(5, dtype=np.uint16)
    >>> move(pool, np.array([5, 0]), shard, np.array([0, 2]), np.array([1, 3]))
    >>> shard.tolist()
    [30, 0, 10, 11, 12]
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.errors import IntegrityError

Ids = npt.NDArray[Any]
"""A one-dimensional array of token ids: little-endian uint16 or uint32."""

Counts = npt.NDArray[np.int64]
"""A one-dimensional array of positions or lengths, in tokens."""

LONG_SPAN = 128
"""Mean tokens per span from which one copy per span beats computed indices (measured)."""

BLOCK_TOKENS = 1 << 16
"""Tokens per block of computed indices: 512 KiB of them stay in a core's cache."""


def starts_of(lengths: Counts) -> Counts:
    """Where each of n spans starts when they lie back to back: int64, shape (n,)."""
    ends = np.cumsum(lengths, dtype=np.int64)
    starts: Counts = ends - lengths
    return starts


def stretches(numbers: Counts) -> Iterator[slice]:
    """
    Slices of neighbours that have the same number.

        >>> list(stretches(np.array([7, 7, 2])))
        [slice(0, 2, None), slice(2, 3, None)]
    """
    borders = np.flatnonzero(np.diff(numbers)) + 1
    for first, end in pairwise([0, *borders.tolist(), len(numbers)]):
        yield slice(first, end)


def gather(source: Ids, firsts: Counts, lengths: Counts) -> Ids:
    """The spans of `source` back to back, in the order given; dtype as `source`."""
    out = np.empty(int(lengths.sum()), dtype=source.dtype)
    move(source, firsts, out, starts_of(lengths), lengths)
    return out


def move(source: Ids, froms: Counts, out: Ids, tos: Counts, lengths: Counts) -> None:
    """Copy span k from `source[froms[k]:]` to `out[tos[k]:]`, `lengths[k]` ids, for every k."""
    if len(lengths) == 0:
        return
    if int(lengths.sum()) >= LONG_SPAN * len(lengths):
        width = source.dtype.itemsize
        read, write = as_bytes(source), as_bytes(out)
        for a, b, n in zip(
            (froms * width).tolist(),
            (tos * width).tolist(),
            (lengths * width).tolist(),
            strict=True,
        ):
            write[b : b + n] = read[a : a + n]
        return
    for block in stretches(starts_of(lengths) // BLOCK_TOKENS):
        n = lengths[block]
        offsets = starts_of(n)
        within = np.arange(int(n.sum()), dtype=np.int64)
        out[np.repeat(tos[block] - offsets, n) + within] = source[
            np.repeat(froms[block] - offsets, n) + within
        ]


def fetch(path: Path, froms: Counts, out: Ids, tos: Counts, lengths: Counts) -> None:
    """As `move`, from a file of ids: reading takes no memory, where a mapping counts as ours."""
    width = out.dtype.itemsize
    write, read = as_bytes(out), os.preadv
    with open(path, "rb", buffering=0) as file:
        source = file.fileno()
        for a, b, n in zip(
            (froms * width).tolist(),
            (tos * width).tolist(),
            (lengths * width).tolist(),
            strict=True,
        ):
            if read(source, (write[b : b + n],), a) != n:
                raise IntegrityError(f"{path} was cut while it was read", hint="Build again.")


def as_bytes(array: Ids) -> memoryview:
    """The bytes of a contiguous array that is not empty, without a copy."""
    return array.data.cast("B")
