"""
Turn the keys and digests of a mix's spans, in stream order, into its documents, in order of keys.

A document is a distinct key. Its leaf of the Merkle tree is hashed when its span comes, as if there
were no other: so it is for all but documents that are read more than once. Up to RANGE_SPANS spans
wait in memory; those of larger mixes are spilled by range of keys, so that the memory they need
does not grow with the mix.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curate import files
from curate.shards.gather import Counts
from curate.shards.merkle import leaf_hashes

if TYPE_CHECKING:
    import polars as pl

RANGE_SPANS = 2_000_000
"""Spans whose keys are sorted at once: about 400 MB."""

MOST_RANGES = 4_096

ROW = np.dtype(
    [("high", "<u8"), ("low", "<u8"), ("leaf", "V32"), ("digest", "V16"), ("component", "<u2")]
)
"""
A span, as it waits: both halves of its key, which compare as its bytes do, and the hash of the leaf
of a document that has no other span.
"""

Rows = npt.NDArray[np.void]
"""A one-dimensional array of `ROW`."""

Half = npt.NDArray[np.uint64]
"""One half of each of n keys: shape (n,)."""


class Documents:
    """The spans of one mix, fed in stream order; `folder` is for what does not fit in memory."""

    def __init__(self, folder: Path, n_spans: int) -> None:
        self._folder = folder
        self._n_ranges = max(1, min(MOST_RANGES, -(-n_spans // RANGE_SPANS)))
        self._kept: list[Rows] = []

    def add(self, rows: Rows) -> None:
        """Append spans."""
        if self._n_ranges == 1:
            self._kept.append(rows)
            return
        numbers = ((rows["high"] >> 32) * self._n_ranges >> 32).astype(np.int64)
        rows = rows[np.argsort(numbers, kind="stable")]
        ends = np.cumsum(np.bincount(numbers, minlength=self._n_ranges))
        for number, lot in enumerate(np.split(rows, ends[:-1])):
            if len(lot):
                self._append(self._path(number), lot)

    def ranges(self) -> Iterator[Rows]:
        """The spans of a range of keys after the other, in stream order within each."""
        if self._n_ranges == 1:
            if self._kept:
                yield np.concatenate(self._kept)
            return
        for number in range(self._n_ranges):
            if self._path(number).exists():
                yield np.fromfile(self._path(number), dtype=ROW)

    def _path(self, number: int) -> Path:
        return self._folder / f"keys-{number:04d}"

    def _append(self, path: Path, rows: Rows) -> None:
        # Nothing in the spill survives the build, so none of it is fsynced.
        files.make_folder(self._folder)
        files.announce("write", path)
        with open(path, "ab") as file:
            file.write(rows.tobytes())


def rows_of(components: Counts, spans: "pl.DataFrame") -> Rows:
    """Spans as they wait, given their component numbers and their rows of spans.parquet."""
    keys, digests = values(spans["key"]), values(spans["digest"])
    leaves = leaf_hashes(keys.tolist(), digests.tolist())
    rows = np.empty(len(keys), dtype=ROW)
    rows["high"], rows["low"] = keys.view(">u8").reshape(-1, 2).T
    rows["leaf"] = np.frombuffer(b"".join(leaves), dtype="V32")
    rows["digest"] = digests
    rows["component"] = components
    return rows


def count(rows: Rows, n_components: int) -> tuple[list[bytes], list[int]]:
    """Leaf hashes of documents in order of keys, and how many documents each component has."""
    order = order_of(rows["high"], rows["low"])
    high, low = rows["high"][order], rows["low"][order]
    ends = np.flatnonzero(is_last(high, low)) + 1
    counts = np.diff(ends, prepend=0)
    leaves: list[bytes] = rows["leaf"][order[ends - 1]].tolist()
    for n in np.flatnonzero(counts > 1).tolist():
        spans = order[ends[n] - counts[n] : ends[n]]
        key = struct.pack(">QQ", high[ends[n] - 1], low[ends[n] - 1])
        leaves[n] = leaf_hashes([key], [rows["digest"][spans].tobytes()])[0]
    components = rows["component"][order]
    own = [components == number for number in range(n_components)]
    return leaves, [int(is_last(high[mine], low[mine]).sum()) for mine in own]


def order_of(high: Half, low: Half) -> npt.NDArray[np.int64]:
    """What sorts keys, given by halves; equal ones stay in the order they came in."""
    order = np.argsort(high, kind="stable")
    left, right = high[order], low[order]
    if np.any((left[1:] == left[:-1]) & (right[1:] < right[:-1])):  # half a key is seldom too short
        order = np.lexsort((low, high))
    return order


def is_last(high: Half, low: Half) -> npt.NDArray[np.bool_]:
    """Of sorted keys, given by halves, which are the last of their kind."""
    other = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return np.append(other, np.ones(min(1, len(high)), dtype=np.bool_))


def values(column: "pl.Series") -> npt.NDArray[np.void]:
    """A Binary column of 16-byte values as an array of them: V16, shape (n,)."""
    import polars as pl

    pairs = column.bin.reinterpret(dtype=pl.Array(pl.UInt64, 2), endianness="little").to_numpy()
    return np.ascontiguousarray(pairs.reshape(-1, 2), dtype="<u8").view("V16").ravel()
