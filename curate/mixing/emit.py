"""
Turn spans in stream order into shards and a Parquet file whose bytes depend on nothing else.

A span goes to the current shard unless that would exceed it; then to the next:

    >>> Sharder(10).place(np.array([4, 5, 3, 10, 1])).tolist()
    [0, 0, 1, 2, 3]
    >>> Sharder(10, breaks=[1, 2]).place(np.array([4, 5, 3])).tolist()
    [0, 1, 2]
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curate import files
from curate.mixing.deviation import Meter
from curate.mixing.draw import SPAN
from curate.mixing.scratch import CHUNK, Rows

ROW_GROUP = 131_072


class Sharder:
    """Gives spans the numbers of their shards; `breaks` are spans before which one must begin."""

    def __init__(self, shard_tokens: int, breaks: Sequence[int] = ()) -> None:
        self.shard_tokens = shard_tokens
        self.breaks = sorted({b for b in breaks if b > 0})
        self.shard = 0
        self.room = shard_tokens
        self.n_spans = 0

    def place(self, n_tokens: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
        """Shard numbers of the next spans; ValueError if one is longer than a shard."""
        if len(n_tokens) and n_tokens.max() > self.shard_tokens:
            raise ValueError(
                f"a span of {n_tokens.max():,} tokens, shards of {self.shard_tokens:,}"
            )
        numbers = np.empty(len(n_tokens), np.uint32)
        running = np.cumsum(n_tokens, dtype=np.int64)
        start, used = 0, 0
        while start < len(n_tokens):
            if self.breaks and self.breaks[0] == self.n_spans:
                self.breaks.pop(0)
                self._next()
            stop = int(np.searchsorted(running, used + self.room, side="right"))
            if self.breaks:
                stop = min(stop, start + self.breaks[0] - self.n_spans)
            if stop == start:
                self._next()
                continue
            numbers[start:stop] = self.shard
            self.room -= int(running[stop - 1]) - used
            used = int(running[stop - 1])
            self.n_spans += stop - start
            start = stop
        return numbers

    def _next(self) -> None:
        if self.room < self.shard_tokens:
            self.shard += 1
            self.room = self.shard_tokens


def write_spans(
    path: Path,
    chunks: Iterable[Rows],
    work: Path,
    sharder: Sharder,
    meter: Meter,
) -> dict[str, int]:
    """
    Write one arm (docs/format.md §3.4), chunk by chunk; says n_tokens, n_spans, n_shards, longest.

    What does not fit in memory waits in `work`; then the row groups are cut, so that chunks leave
    no trace in the file.
    """
    totals = {"n_tokens": 0, "n_spans": 0, "n_shards": 0, "longest": 0}
    waiting = _Waiting(work)
    for spans in chunks:
        longest = int(spans["n_tokens"].max())
        shard = sharder.place(spans["n_tokens"])
        meter.add(spans["component"], spans["n_tokens"])
        totals["n_tokens"] += int(spans["n_tokens"].sum(dtype=np.int64))
        totals["n_spans"] += len(spans)
        totals["n_shards"] = int(shard[-1]) + 1
        totals["longest"] = max(totals["longest"], longest)
        waiting.add(frame(spans, shard))
    with files.replacing(path) as temporary:
        waiting.all().sink_parquet(
            temporary,
            compression="zstd",
            compression_level=1,
            statistics=True,
            row_group_size=ROW_GROUP,
        )
    files.remove(work)
    return totals


class _Waiting:
    """Frames in order: the first on disk, the last in memory."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.on_disk: list[Path] = []
        self.frames = [frame(np.empty(0, SPAN), np.empty(0, np.uint32))]
        self.n_rows = 0

    def add(self, spans: pl.DataFrame) -> None:
        self.frames.append(spans)
        self.n_rows += spans.height
        if self.n_rows > CHUNK:
            files.make_folder(self.work)
            path = self.work / f"{len(self.on_disk):06d}.arrow"
            files.announce("write", path)
            pl.concat(self.frames).write_ipc(path)
            self.on_disk.append(path)
            self.frames, self.n_rows = self.frames[:1], 0

    def all(self) -> pl.LazyFrame:
        last = pl.concat(self.frames).lazy()
        return pl.concat([pl.scan_ipc(self.on_disk), last]) if self.on_disk else last


def frame(spans: Rows, shard: npt.NDArray[np.uint32]) -> pl.DataFrame:
    """The columns of an arm's file."""
    zero = pl.lit(0, dtype=pl.UInt32)
    columns = {name: np.ascontiguousarray(spans[name]) for name in spans.dtype.names or ()}
    return pl.DataFrame({**columns, "shard": shard}).select(
        "component",
        "part",
        "row",
        "epoch",
        zero.alias("first"),
        "n_tokens",
        "cut",
        zero.alias("n_inserted"),
        "shard",
    )
