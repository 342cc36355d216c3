"""
Turn a plan and the pool into runs, reading each part once and in order.

The plan is read in ranges of parts, so that neither it nor the pool need fit in memory. The text of
the documents is never read.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.document import SCHEMA_NAMES, piece_id
from curate.errors import IntegrityError
from curate.shards.columns import FROM_DOCUMENTS, FROM_PLAN, Columns
from curate.shards.gather import Counts
from curate.shards.runs import Runs
from curate.store import Part

if TYPE_CHECKING:
    import polars as pl

PLAN_ROWS = 4_000_000
"""Rows of the plan held at once: about 80 MB."""

GROUP_ROWS = 400_000
"""Documents whose metadata is held at once, if they are of several parts: about 150 MB."""

POOL_COLUMNS = ("row", "piece", "key", "n_tokens", "n_bytes", "offset", "digest")


def make_runs(
    plan: Path,
    parts: Sequence[Part],
    *,
    runs: Runs,
    columns: Columns,
    licenses: Mapping[str, str],
    dtype: str,
) -> None:
    """
    Fill `runs` with every span of the plan file.

    Raises IntegrityError if a span is not in its pool row, or a pool is not as its rows say.
    """
    import polars as pl

    rows, width = pl.scan_parquet(plan), np.dtype(dtype).itemsize
    counts = rows.group_by("part").len().collect(engine="streaming").sort("part")
    if counts.height and counts["part"][-1] >= len(parts):
        raise IntegrityError(f"{plan} names part {counts['part'][-1]}, of {len(parts)} parts")
    for batch in _batches(counts["part"].to_list(), counts["len"].to_list(), PLAN_ROWS):
        spans = (
            rows.filter(pl.col("part").is_between(batch[0], batch[-1]))
            .select("part", "row", "first", "n_tokens", "cut")
            .collect()
        )
        n_rows = [_n_rows(parts[number]) for number in batch]
        with ThreadPoolExecutor(1) as keeper:  # keeps one group while the next is read
            kept: Future[None] | None = None
            for group in _batches(batch, n_rows, GROUP_ROWS):
                chosen = spans.filter(pl.col("part").is_between(group[0], group[-1]))
                read = _read_group(group, parts, chosen, columns, licenses)
                if kept is not None:
                    kept.result()
                kept = keeper.submit(_keep, runs, read, width)
            if kept is not None:
                kept.result()


def _batches(parts: list[int], counts: list[int], limit: int) -> Iterator[list[int]]:
    """Neighbouring parts whose counts add up to `limit` at most, but never no part."""
    batch: list[int] = []
    total = 0
    for part, count in zip(parts, counts, strict=True):
        if batch and total + count > limit:
            yield batch
            batch, total = [], 0
        batch.append(part)
        total += count
    if batch:
        yield batch


def _n_rows(part: Part) -> int:
    import polars as pl

    n_rows: int = pl.scan_parquet(part.pool).select(pl.len()).collect().item()
    return n_rows


@dataclass(frozen=True)
class Group:
    """What some neighbouring parts give: spans in stream order, and what is known of each."""

    parts: dict[int, Part]
    needed: dict[int, int]  # ids that the pool rows of each part say there are
    owners: Counts  # part of each span
    firsts: Counts  # first id of each span in its part
    lengths: Counts
    known: "pl.DataFrame"


def _read_group(
    group: list[int],
    parts: Sequence[Part],
    spans: "pl.DataFrame",
    columns: Columns,
    licenses: Mapping[str, str],
) -> Group:
    """Read the pool rows, documents and tags of some parts, given their spans in stream order."""
    import polars as pl

    # Rows of one chunk are gathered ten times as fast as rows of several.
    pools = [pl.read_parquet(parts[n].pool, columns=list(POOL_COLUMNS)) for n in group]
    tables = [_known(parts[n], columns, licenses) for n in group]
    numbers = np.searchsorted(group, spans["part"].to_numpy())
    rows = spans["row"].to_numpy().astype(np.int64)
    heights = np.array([pool.height for pool in pools])
    _refuse(rows >= heights[numbers], spans, parts, "beyond the pool")
    chosen = pl.concat(pools).rechunk()[rows + (np.cumsum(heights) - heights)[numbers]]
    documents = chosen["row"].to_numpy().astype(np.int64)
    heights = np.array([table.height for table in tables])
    _refuse(documents >= heights[numbers], spans, parts, "beyond the documents")
    known = pl.concat(tables).rechunk()[documents + (np.cumsum(heights) - heights)[numbers]]
    lengths = spans["n_tokens"].to_numpy().astype(np.int64)
    left = chosen["n_tokens"].to_numpy().astype(np.int64) - spans["first"].to_numpy()
    ends_early = (lengths != left) & ~spans["cut"].to_numpy()
    _refuse((lengths < 1) | (lengths > left) | ends_early, spans, parts, "of another length")
    firsts = chosen["offset"].to_numpy().astype(np.int64) + spans["first"].to_numpy()
    ends = [pool["offset"].to_numpy() + pool["n_tokens"].to_numpy() for pool in pools]
    return Group(
        {number: parts[number] for number in group},
        {number: int(end.max(initial=0)) for number, end in zip(group, ends, strict=True)},
        spans["part"].to_numpy(),
        firsts,
        lengths,
        _with_pool_rows(known, chosen),
    )


def _keep(runs: Runs, group: Group, width: int) -> None:
    """Add the runs of a group, whose ids are of `width` bytes."""
    for number, part in group.parts.items():
        mine = group.owners == number
        if part.ids.stat().st_size < group.needed[number] * width:
            raise IntegrityError(
                f"{part.ids} is shorter than its pool rows say",
                hint="Delete the receipt of this part and build again.",
            )
        runs.add_ids(number, part.ids, group.firsts[mine], group.lengths[mine])
    runs.add_table(list(group.parts), group.known)


def _refuse(
    wrong: "np.ndarray[Any, np.dtype[np.bool_]]",
    spans: "pl.DataFrame",
    parts: Sequence[Part],
    what: str,
) -> None:
    if wrong.any():
        span = spans.row(int(np.flatnonzero(wrong)[0]), named=True)
        part = parts[span["part"]]
        raise IntegrityError(
            f"the plan does not fit the pool of {part.source}",
            details=[
                f"row {span['row']:,} of part {part.name} is {what}",
                f"the plan takes {span['n_tokens']:,} tokens of it",
            ],
            hint="Delete the plan and build again.",
        )


def _known(part: Part, columns: Columns, licenses: Mapping[str, str]) -> "pl.DataFrame":
    """What documents and tags say of each document of a part, as spans.parquet has it."""
    import polars as pl

    own = [n for n in pl.read_parquet_schema(part.documents) if n not in SCHEMA_NAMES]
    table = pl.read_parquet(part.documents, columns=[*FROM_DOCUMENTS, *own])
    for path in part.tags:
        tags = pl.read_parquet(path)
        if tags.height != table.height:
            raise IntegrityError(
                f"{path} has {tags.height:,} rows for {table.height:,} documents",
                hint="Delete its receipt and build again.",
            )
        table = table.hstack(tags)
    kinds = {name: kind for name, kind in columns.items() if name not in FROM_PLAN}
    return table.with_columns(
        *(
            pl.lit(None, dtype=kinds[name]).alias(name)
            for name in kinds
            if name not in table.columns
        )
    ).select(
        *(name for name in kinds if name not in ("source", "license")),
        pl.lit(part.source).alias("source"),
        pl.coalesce("license", pl.lit(licenses.get(part.source), dtype=pl.String)),
    )


def _with_pool_rows(known: "pl.DataFrame", chosen: "pl.DataFrame") -> "pl.DataFrame":
    """
    Add what the pool says of each span: its key, bytes and digest, and its id where it is a piece.

    `n_tokens_whole` is the length of the whole row.
    """
    import polars as pl

    pieces = chosen["piece"]
    table = known.with_columns(chosen.select("key", "n_bytes", "digest")).with_columns(
        chosen["n_tokens"].alias("n_tokens_whole")
    )
    if pieces.null_count() == len(pieces):
        return table
    pairs = zip(known["id"].to_list(), pieces.to_list(), strict=True)
    named = [name if piece is None else piece_id(name, piece) for name, piece in pairs]
    return table.with_columns(pl.Series("id", named, dtype=pl.String))
