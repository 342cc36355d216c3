"""
Turn the rows of a mix, block after block, into spans.parquet while the mix is being written.

Rows wait for their row group and are compressed beside the writing of the shards; none of them is
put on the disk twice. The bytes depend neither on where blocks end nor on threads.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Full, Queue
from typing import TYPE_CHECKING, Any

from curate.shards.columns import Columns

if TYPE_CHECKING:
    import polars as pl

WAITING = 2
"""Blocks that wait to be compressed; with more the writing of shards waits."""

LOOK_AGAIN = 0.2
"""Seconds after which a full queue is asked whether its reader still lives."""


class SpanTable:
    """A spans.parquet being written to `path`: `add` blocks, then `close`."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path = path
        self._columns = columns
        self._rows: Queue[pl.DataFrame | None] = Queue(WAITING)
        self._thread = ThreadPoolExecutor(1)
        self._written = self._thread.submit(self._write)

    def __enter__(self) -> "SpanTable":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            self._put(None)
            if kind is None:
                self._written.result()
        finally:
            self._thread.shutdown()

    def add(self, rows: "pl.DataFrame") -> None:
        """Append rows with the table's columns; raises what went wrong with earlier ones."""
        if not self._put(rows):
            self._written.result()

    def close(self) -> None:
        """No rows follow; what is left is written beside the caller, who leaves the context."""
        self._put(None)

    def _put(self, rows: "pl.DataFrame | None") -> bool:
        """Hand rows over, unless nobody takes them any more."""
        while not self._written.done():
            try:
                self._rows.put(rows, timeout=LOOK_AGAIN)
            except Full:
                continue
            return True
        return False

    def _write(self) -> None:
        from polars.io.plugins import register_io_source

        register_io_source(self._blocks, schema=self._columns).sink_parquet(
            self._path,
            compression="zstd",
            compression_level=3,
            statistics=True,
            row_group_size=131_072,
            maintain_order=True,
        )

    def _blocks(self, *narrowed: Any) -> "Iterator[pl.DataFrame]":
        # A sink wants all columns and all rows: nothing in `narrowed` is ever set.
        while (rows := self._rows.get()) is not None:
            yield rows
