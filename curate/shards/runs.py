"""
Turn the spans that each part gives into something a shard can be put together from, in order.

A run is what one part gives to a whole mix, in stream order: a shard takes the next stretch of
every run. Where the pool fits in memory a run is no more than where its spans lie in the pool; else
its ids are spilled, back to back, to a file beside the mix. What is known of the documents is kept
in groups of parts, likewise. The bytes of a mix do not depend on it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate import files
from curate.shards.gather import Counts, Ids, as_bytes, gather, starts_of

if TYPE_CHECKING:
    import polars as pl

SPILL_TOKENS = 16_000_000
"""Tokens gathered at once for a spill: at most 64 MB."""


class Runs:
    """The runs of one arm; `folder` is for what does not fit in memory."""

    def __init__(
        self, folder: Path, *, dtype: str, spill_ids: bool = False, spill_tables: bool = False
    ) -> None:
        self._folder = folder
        self._spill_ids = spill_ids
        self._spill_tables = spill_tables
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._ids: dict[int, tuple[Ids, Counts]] = {}
        self._spans_taken: dict[int, int] = {}  # by part
        self._tokens_taken: dict[int, int] = {}  # by part
        self._groups = np.empty(0, dtype=np.int64)  # of each part
        self._tables: dict[int, pl.DataFrame] = {}
        self._rows_taken: dict[int, int] = {}  # by group

    def add_ids(self, part: int, ids: Ids, firsts: Counts, lengths: Counts) -> None:
        """Keep the run of a part: span k is `ids[firsts[k]:][:lengths[k]]`."""
        self._spans_taken[part] = self._tokens_taken[part] = 0
        if not self._spill_ids:
            self._ids[part] = (ids, firsts)
            return
        with open(self._new_file(f"{part}.ids"), "wb") as file:
            for block in spill_blocks(lengths):
                file.write(as_bytes(gather(ids, firsts[block], lengths[block])))

    def next_ids(self, part: int, lengths: Counts) -> tuple[Ids, Counts]:
        """Where the next spans of a part's run are, which are known to have these lengths."""
        span, token = self._spans_taken[part], self._tokens_taken[part]
        self._spans_taken[part] = span + len(lengths)
        if not self._spill_ids:
            ids, firsts = self._ids[part]
            return ids, firsts[span : span + len(lengths)]
        n_tokens = int(lengths.sum())
        self._tokens_taken[part] = token + n_tokens
        at = token * self._dtype.itemsize
        ids = np.fromfile(self._folder / f"{part}.ids", self._dtype, count=n_tokens, offset=at)
        return ids, starts_of(lengths)

    def add_table(self, parts: Sequence[int], table: "pl.DataFrame") -> None:
        """Keep a group: one row for each span of these parts, in stream order."""
        group = len(self._rows_taken)
        self._rows_taken[group] = 0
        if max(parts) >= len(self._groups):
            self._groups = np.append(self._groups, np.zeros(max(parts) + 1, dtype=np.int64))
        self._groups[list(parts)] = group
        if self._spill_tables:
            table.write_ipc(self._new_file(f"{group}.ipc"), compression="uncompressed")
        else:
            self._tables[group] = table

    def next_rows(self, parts: Counts) -> "tuple[pl.DataFrame, Counts]":
        """
        A table that holds the rows of the next spans, which are of these parts.

        Returned beside it: where in the table the row of each span is, shape (n,).
        """
        import polars as pl

        groups = self._groups[parts]
        order = np.argsort(groups, kind="stable")
        tables = []
        for group, count in zip(*np.unique(groups, return_counts=True), strict=True):
            first = self._rows_taken[group]
            self._rows_taken[group] = first + int(count)
            if self._spill_tables:
                lazy = pl.scan_ipc(self._folder / f"{group}.ipc")
                tables.append(lazy.slice(first, int(count)).collect())
            else:
                tables.append(self._tables[group].slice(first, int(count)))
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        return pl.concat(tables, rechunk=True), places

    def _new_file(self, name: str) -> Path:
        # Nothing in the spill survives the build, so none of it is fsynced.
        files.make_folder(self._folder)
        files.announce("write", self._folder / name)
        return self._folder / name


def spill_blocks(lengths: Counts) -> Iterator[slice]:
    """Slices of consecutive spans that start within SPILL_TOKENS of each other."""
    borders = np.flatnonzero(np.diff(starts_of(lengths) // SPILL_TOKENS)) + 1
    for a, b in pairwise([0, *borders.tolist(), len(lengths)]):
        yield slice(a, b)
