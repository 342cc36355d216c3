"""
Turn rows of posts in any order into whole threads, in bounded memory.

Posts are dealt into partitions on the disk by their thread; then each partition is read alone, its
threads put together in order of (board, thread, post number). Of a post that occurs twice the one
that comes last in the dump counts, the others are counted as superseded. A thread that would not
fit in memory is rejected: its posts are counted, and the first of them kept.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from curate import files
from curate.readers.base import Tally
from curate.readers.jsonrows import KEPT_OF_TOO_LONG

if TYPE_CHECKING:
    import polars as pl

PARTITION = 16 << 20
"""Bytes of text a partition holds on average; 32 MB in memory with its numbers."""

RUN = 32 << 20
"""Bytes of text held before they are dealt to the disk."""

HEAVY = 4 * PARTITION
"""Bytes of text of a range of partitions from which it is read by lots of threads, run by run."""

MAX_POSTS = 100_000
"""Most posts of a thread; the largest of 4chan have some thousands."""

MAX_THREAD = 16 << 20
"""Most bytes of text of a thread, beyond those of the longest line of threads (MAX_LINE)."""

KEPT_POSTS = 1_000
"""Most posts kept of a thread that is rejected."""

USUAL = 1_000
"""Bytes in which subject, country, flag, board and poster of a real post fit together."""

THREAD = ["board", "thread"]
"""What names a thread."""

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
        for part, size in table.group_by("partition").agg(_size(table).sum()).iter_rows():
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
            yield _together(iter([pl.concat(held)]), tally)
        return
    if held:
        runs.append(_deal(_distinct(held, tally), tally.scratch() / f"run-{len(runs):05d}.parquet"))
    for first, last in _ranges(sizes):
        within = pl.col("partition").is_between(first, last)
        if sum(sizes[first : last + 1]) <= HEAVY:
            yield _together(iter([pl.scan_parquet(runs).filter(within).collect()]), tally)
            continue
        parts = [pl.scan_parquet(run).filter(within) for run in runs]
        for lot in _lots(parts):
            yield _together((_of_lot(part, lot) for part in parts), tally)


def _lots(parts: "list[pl.LazyFrame]") -> "Iterator[pl.DataFrame]":
    """The threads of a heavy range, in their order, as many at once as a partition holds."""
    import polars as pl

    counted = []
    for part in parts:
        posts = part.collect()
        counted.append(posts.group_by(THREAD).agg(_size(posts).sum().alias("size")))
    sizes = pl.concat(counted).group_by(THREAD).agg(pl.col("size").sum()).sort(THREAD)
    lot = (pl.col("size").cum_sum() - 1) // PARTITION
    for _, threads in sizes.group_by(lot.alias("lot"), maintain_order=True):
        yield threads.select(THREAD)


def _of_lot(part: "pl.LazyFrame", lot: "pl.DataFrame") -> "pl.DataFrame":
    """The posts of some threads."""
    return part.join(
        lot.lazy(), on=THREAD, how="semi", nulls_equal=True, maintain_order="left"
    ).collect()


def _together(pieces: "Iterator[pl.DataFrame]", tally: Tally) -> "pl.DataFrame":
    """Whole threads of posts that come in pieces, those of later pieces being later versions."""
    import polars as pl

    posts = next(pieces)
    rejected: dict[tuple[str, int], _TooLarge] = {}
    while True:
        posts = _fitting(_distinct([posts], tally), rejected)
        piece = next(pieces, None)
        if piece is None:
            break
        posts = pl.concat([posts, piece])
    for thread in rejected.values():
        thread.reject(tally)
    return (
        posts.sort("board", "thread", "no")
        .with_columns(pl.struct("board", "thread").rle_id().cast(pl.UInt32).alias("record"))
        .drop("arrival", "partition")
    )


@dataclass
class _TooLarge:
    """A thread of more posts or bytes than fit in memory."""

    first: list[dict[str, Any]]
    n_posts: int = 0
    n_bytes: int = 0

    def reject(self, tally: Tally) -> None:
        """Count it as one rejected record, and keep its first posts."""
        tally.n_records += 1
        tally.posts["rejected"] += self.n_posts
        tally.input = self.first[0]["input"]
        tally.reject(
            offset=self.first[0]["offset"],
            line=0,
            reason="too-many-posts",
            raw=orjson.dumps({"posts": self.first})[:KEPT_OF_TOO_LONG],
            n_bytes=self.n_bytes,
        )


def _fitting(posts: "pl.DataFrame", rejected: dict[tuple[str, int], _TooLarge]) -> "pl.DataFrame":
    """Posts of threads that are not too large, and were not before; the others go to `rejected`."""
    import polars as pl

    n_bytes = pl.sum_horizontal(pl.col("subject", "body").str.len_bytes().cast(pl.Int64)).sum()
    sizes = posts.group_by(THREAD, maintain_order=True).agg(pl.len(), n_bytes.alias("n_bytes"))
    known = pl.DataFrame(list(rejected), schema={n: sizes.schema[n] for n in THREAD}, orient="row")
    large = pl.concat(
        [
            sizes.filter((pl.col("len") > MAX_POSTS) | (pl.col("n_bytes") > MAX_THREAD)),
            sizes.join(known, on=THREAD, how="semi"),
        ]
    ).unique(THREAD, maintain_order=True)
    if not large.height:
        return posts
    for board, number, n_posts, size in large.iter_rows():
        if (board, number) not in rejected:
            its = posts.filter((pl.col("board") == board) & (pl.col("thread") == number))
            shown = its.sort("no").head(KEPT_POSTS)
            names = ["input", "offset", *THREAD, "no", "time", "subject", "body"]
            rejected[board, number] = _TooLarge(shown.select(names).to_dicts())
        rejected[board, number].n_posts += n_posts
        rejected[board, number].n_bytes += size
    return posts.join(large, on=THREAD, how="anti", maintain_order="left")


def _partition(table: "pl.DataFrame") -> "pl.Series":
    """Which partition each post belongs to: CRC-32 of its thread, which no version changes."""
    import polars as pl

    names = table.select(pl.format("{}/{}", "board", "thread").alias("name")).to_series()
    known = names.unique()
    numbers = [zlib.crc32(name.encode()) % N_PARTITIONS for name in known.to_list()]
    return names.replace_strict(
        known, pl.Series(numbers, dtype=pl.UInt32), return_dtype=pl.UInt32
    ).alias("partition")


def _size(table: "pl.DataFrame") -> "pl.Expr":
    """Bytes a post takes, about: its text, and 200 for everything else unless that is unusual."""
    import polars as pl

    def length(names: list[str]) -> "pl.Expr":
        return pl.sum_horizontal(pl.col(names).str.len_bytes().cast(pl.Int64))

    others = [name for name in table.columns if name != "body" and table[name].dtype == pl.String]
    others_beyond = (length(others) - USUAL).clip(lower_bound=0)
    return length(["body"]) + 200 + others_beyond


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
