"""
Turn the spans that each part gives into something a shard can be put together from, in order.

A run is what one part gives to a whole mix, in stream order: a shard takes the next stretch of
every run. The ids of a run stay in the pool, which is mapped into memory if it is small and read
span by span if the system can keep it at hand; of a larger pool they are spilled, back to back, to
a file beside the mix. What is known of the documents is kept in groups of parts, the first in
memory and the rest in files. The bytes of a mix do not depend on it.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from curate import files
from curate.shards import memory
from curate.shards.gather import Counts, Ids, as_bytes, fetch, gather, move, starts_of, stretches

if TYPE_CHECKING:
    import polars as pl

Ways = Literal["map", "read", "spill"]
"""How the ids of a pool are come by."""

SPILL_TOKENS = 16_000_000
"""Tokens gathered at once for a spill: at most 64 MB."""

WHOLE_READ = 16
"""A part of which at least 1/16 is taken is read whole and in order, not page by page."""


class Runs:
    """The runs of one arm; `folder` is for what does not fit in memory."""

    def __init__(self, folder: Path, *, dtype: str, way: Ways, table_bytes: int) -> None:
        self._folder = folder
        self._way = way
        self._table_bytes = table_bytes  # of tables that may yet be kept in memory
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._mapped: dict[int, Ids] = {}
        self._read: dict[int, Path] = {}
        self._firsts: dict[int, Counts] = {}  # by part, unless it was spilled
        self._spans_taken: dict[int, int] = {}  # by part
        self._tokens_taken: dict[int, int] = {}  # by part
        self._groups = np.empty(0, dtype=np.int64)  # of each part
        self._tables: dict[int, pl.DataFrame] = {}
        self._rows_taken: dict[int, int] = {}  # by group

    def add_ids(self, part: int, path: Path, firsts: Counts, lengths: Counts) -> None:
        """Keep the run of a part: span k is the `lengths[k]` ids from `firsts[k]` of a file."""
        self._spans_taken[part] = self._tokens_taken[part] = 0
        n_bytes = path.stat().st_size
        whole = int(lengths.sum()) * self._dtype.itemsize * WHOLE_READ >= n_bytes > 0
        if self._way == "read":
            if whole:
                memory.read_ahead(path)
            self._read[part], self._firsts[part] = path, firsts
            return
        ids = _mapped(path, self._dtype, whole) if n_bytes else np.empty(0, self._dtype)
        if self._way == "map":
            self._mapped[part], self._firsts[part] = ids, firsts
            return
        with open(self._new_file(f"{part}.ids"), "wb") as file:
            for block in stretches(starts_of(lengths) // SPILL_TOKENS):
                file.write(as_bytes(gather(ids, firsts[block], lengths[block])))

    def take(self, part: int, out: Ids, tos: Counts, lengths: Counts) -> None:
        """Bring the next spans of a part's run, which have these lengths, to `tos` of `out`."""
        span, token = self._spans_taken[part], self._tokens_taken[part]
        self._spans_taken[part] = span + len(lengths)
        if self._way == "spill":
            n_tokens = int(lengths.sum())
            self._tokens_taken[part] = token + n_tokens
            at = token * self._dtype.itemsize
            ids = np.fromfile(self._folder / f"{part}.ids", self._dtype, count=n_tokens, offset=at)
            move(ids, starts_of(lengths), out, tos, lengths)
            return
        firsts = self._firsts[part][span : span + len(lengths)]
        if self._way == "map":
            move(self._mapped[part], firsts, out, tos, lengths)
        else:
            fetch(self._read[part], firsts, out, tos, lengths)

    def add_table(self, parts: Sequence[int], table: "pl.DataFrame") -> None:
        """Keep a group: one row for each span of these parts, in stream order."""
        group = len(self._rows_taken)
        self._rows_taken[group] = 0
        if max(parts) >= len(self._groups):
            self._groups = np.append(self._groups, np.zeros(max(parts) + 1, dtype=np.int64))
        self._groups[list(parts)] = group
        self._table_bytes -= int(table.estimated_size())
        if self._table_bytes < 0:
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
        for stretch in stretches(groups[order]):
            group, count = int(groups[order[stretch.start]]), stretch.stop - stretch.start
            first = self._rows_taken[group]
            self._rows_taken[group] = first + count
            if group in self._tables:
                tables.append(self._tables[group].slice(first, count))
            else:
                lazy = pl.scan_ipc(self._folder / f"{group}.ipc")
                tables.append(lazy.slice(first, count).collect())
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        return pl.concat(tables).rechunk(), places

    def _new_file(self, name: str) -> Path:
        # Nothing in the spill survives the build, so none of it is fsynced.
        files.make_folder(self._folder)
        files.announce("write", self._folder / name)
        return self._folder / name


def _mapped(path: Path, kind: "np.dtype[np.unsignedinteger]", whole: bool) -> Ids:
    """A file of ids, not empty, as an array; read at once if most of it is needed."""
    flags = mmap.MAP_SHARED
    if whole:
        flags |= getattr(mmap, "MAP_POPULATE", 0)
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
    return np.frombuffer(mapped, kind, count=len(mapped) // kind.itemsize)
