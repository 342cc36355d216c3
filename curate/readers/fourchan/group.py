"""
Turn rows of posts in any order into whole threads, in bounded memory.

Posts are dealt into partitions on the disk by their thread; then each partition is read alone, its
threads put together in order of (board, thread, post number). Of a post that occurs twice the one
that comes last in the dump counts, the others are counted as superseded.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from curate import files
from curate.readers.base import Tally

if TYPE_CHECKING:
    import polars as pl

PARTITION = 16 << 20
"""Bytes of text a partition holds on average; 32 MB in memory with its numbers."""

RUN = 32 << 20
"""Bytes of text held before they are dealt to the disk."""

N_PARTITIONS = 4_096
"""The finest division; neighbours are read together while they are small."""


def threads(tables: "Iterator[pl.DataFrame]", tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts in which every thread is whole and has a `record` of its own."""
    import polars as pl

    runs: list[Path] = []
    held: list[pl.DataFrame] = []
    n_held = n_posts = 0
    sizes = [0] * N_PARTITIONS
    for table in tables:
        table = table.with_columns(
            (pl.lit(n_posts, pl.Int64) + pl.int_range(pl.len())).alias("arrival"),
            _partition(table),
        )
        n_posts += table.height
        for part, size in table.group_by("partition").agg(_size().sum()).iter_rows():
            sizes[part] += size
            n_held += size
        held.append(table)
        if n_held > RUN:
            runs.append(
                _deal(_distinct(held, tally), tally.scratch() / f"run-{len(runs):05d}.parquet")
            )
            held, n_held = [], 0
    if not runs:
        if held:
            yield _together(pl.concat(held), tally)
        return
    if held:
        runs.append(_deal(_distinct(held, tally), tally.scratch() / f"run-{len(runs):05d}.parquet"))
    for first, last in _ranges(sizes):
        within = pl.col("partition").is_between(first, last)
        yield _together(pl.scan_parquet(runs).filter(within).collect(), tally)


def _together(posts: "pl.DataFrame", tally: Tally) -> "pl.DataFrame":
    import polars as pl

    order = ["board", "thread", "no", "arrival"]
    kept = posts.sort(order).unique(["board", "thread", "no"], keep="last", maintain_order=True)
    tally.posts["superseded"] += posts.height - kept.height
    return kept.with_columns(
        (pl.struct("board", "thread").rle_id()).cast(pl.UInt32).alias("record")
    ).drop("arrival", "partition")


def _partition(table: "pl.DataFrame") -> "pl.Series":
    """Which partition each post belongs to: CRC-32 of its thread, which no version changes."""
    import polars as pl

    names = table.select(pl.format("{}/{}", "board", "thread").alias("name")).to_series()
    known = names.unique()
    numbers = [zlib.crc32(name.encode()) % N_PARTITIONS for name in known.to_list()]
    return names.replace_strict(
        known, pl.Series(numbers, dtype=pl.UInt32), return_dtype=pl.UInt32
    ).alias("partition")


def _size() -> "pl.Expr":
    """Bytes a post takes, about: its text and 200 for everything else."""
    import polars as pl

    return pl.col("body").str.len_bytes().fill_null(0).cast(pl.Int64) + 200


def _distinct(held: "list[pl.DataFrame]", tally: Tally) -> "pl.DataFrame":
    """Posts without those of which a later version is there too."""
    import polars as pl

    posts = pl.concat(held)
    kept = posts.unique(["board", "thread", "no"], keep="last", maintain_order=True)
    tally.posts["superseded"] += posts.height - kept.height
    return kept


def _deal(posts: "pl.DataFrame", path: Path) -> Path:
    """Write posts sorted by partition, so that a range of partitions is a few row groups."""
    with files.replacing(path) as temporary:
        posts.sort("partition", maintain_order=True).write_parquet(
            temporary, compression="zstd", compression_level=1, row_group_size=8_192
        )
    return path


def _ranges(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges (first, last) of partitions of about `PARTITION` bytes each."""
    first = total = 0
    for part, size in enumerate(sizes):
        total += size
        if total >= PARTITION or part == len(sizes) - 1:
            yield first, part
            first, total = part + 1, 0
