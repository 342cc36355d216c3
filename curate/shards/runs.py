"""
Turn a plan and the pool into runs: the spans each part gives, in stream order.

The pool is read part after part, once. A shard is then made of one stretch of every run, so that a
mix of any size is written with sequential reads and the memory of one shard. Where the pool fits in
memory a run is no more than where its spans lie; else its ids are spilled, back to back, to a file
beside the mix. The bytes of the mix do not depend on it.
"""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate import files
from curate.document import SCHEMA_NAMES, piece_id
from curate.errors import IntegrityError
from curate.shards.columns import FROM_DOCUMENTS, Columns
from curate.shards.gather import Counts, Ids, as_bytes, gather, starts_of
from curate.store import Part

if TYPE_CHECKING:
    import polars as pl

BATCH_SPANS = 4_000_000
"""Rows of the plan held at once: about 100 MB."""

BLOCK_TOKENS = 32_000_000
"""Tokens gathered at once from a part: at most 128 MB."""

WHOLE_READ = 16
"""A part of which at least 1/16 is taken is read ahead whole, not page by page."""

POOL_COLUMNS = ("row", "piece", "key", "n_tokens", "n_bytes", "offset", "digest")


@dataclass(frozen=True)
class Stretch:
    """Consecutive spans of a run: span k is `ids[firsts[k]:]`; `table` has a row for each."""

    ids: Ids
    firsts: Counts
    table: "pl.DataFrame"


class Runs:
    """The runs of one arm, by part; `folder` is for what does not fit in memory."""

    def __init__(
        self, folder: Path, *, dtype: str, spill_ids: bool = False, spill_tables: bool = False
    ) -> None:
        self._folder = folder
        self._spill_ids = spill_ids
        self._spill_tables = spill_tables
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._ids: dict[int, tuple[Ids, Counts]] = {}
        self._tables: dict[int, pl.DataFrame] = {}
        self._taken: dict[int, tuple[int, int]] = {}  # part → (spans, tokens) already given out

    def add(
        self, part: int, ids: Ids, firsts: Counts, lengths: Counts, table: "pl.DataFrame"
    ) -> None:
        """Keep the run of a part: where its spans are in `ids`, and one row of `table` for each."""
        self._taken[part] = (0, 0)
        # Nothing in the spill survives the build, so none of it is fsynced.
        if self._spill_ids:
            path = self._new_file(f"{part}.ids")
            with open(path, "wb") as file:
                for block in _blocks(lengths):
                    file.write(as_bytes(gather(ids, firsts[block], lengths[block])))
        else:
            self._ids[part] = (ids, firsts)
        if self._spill_tables:
            table.write_ipc(self._new_file(f"{part}.ipc"), compression="uncompressed")
        else:
            self._tables[part] = table

    def take(self, part: int, lengths: Counts) -> Stretch:
        """The next spans of a part's run, which are known to have these lengths."""
        import polars as pl

        span, token = self._taken[part]
        n_spans, n_tokens = len(lengths), int(lengths.sum())
        self._taken[part] = (span + n_spans, token + n_tokens)
        if self._spill_tables:
            table = pl.scan_ipc(self._folder / f"{part}.ipc").slice(span, n_spans).collect()
        else:
            table = self._tables[part].slice(span, n_spans)
        if not self._spill_ids:
            ids, firsts = self._ids[part]
            return Stretch(ids, firsts[span : span + n_spans], table)
        at = token * self._dtype.itemsize
        ids = np.fromfile(self._folder / f"{part}.ids", self._dtype, count=n_tokens, offset=at)
        return Stretch(ids, starts_of(lengths), table)

    def _new_file(self, name: str) -> Path:
        files.make_folder(self._folder)
        files.announce("write", self._folder / name)
        return self._folder / name


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
    Fill `runs` with every span of the plan file, reading each part of the pool once.

    Raises IntegrityError if a span is not in its pool row, or a pool is not as its rows say.
    """
    import polars as pl

    rows = pl.scan_parquet(plan)
    counts = rows.group_by("part").len().collect(engine="streaming").sort("part")
    for batch in _batches(counts["part"].to_list(), counts["len"].to_list()):
        spans = (
            rows.filter(pl.col("part").is_between(batch[0], batch[-1]))
            .select("part", "row", "first", "n_tokens", "cut")
            .collect()
        )
        for number in batch:
            if number >= len(parts):
                raise IntegrityError(f"{plan} names part {number}, of {len(parts)} parts")
            chosen = spans.filter(pl.col("part") == number)
            _add_part(number, parts[number], chosen, runs, columns, licenses, dtype)


def _batches(parts: list[int], counts: list[int]) -> Iterator[list[int]]:
    """Neighbouring parts whose spans together are about BATCH_SPANS at most."""
    batch: list[int] = []
    total = 0
    for part, count in zip(parts, counts, strict=True):
        if batch and total + count > BATCH_SPANS:
            yield batch
            batch, total = [], 0
        batch.append(part)
        total += count
    if batch:
        yield batch


def _add_part(
    number: int,
    part: Part,
    spans: "pl.DataFrame",
    runs: Runs,
    columns: Columns,
    licenses: Mapping[str, str],
    dtype: str,
) -> None:
    pool = pl_read(part.pool, POOL_COLUMNS)
    if int(spans["row"].max()) >= pool.height:  # type: ignore[arg-type]
        raise IntegrityError(f"the plan names a row beyond the pool of {part.source} {part.name}")
    chosen = pool[spans["row"]]
    lengths = spans["n_tokens"].to_numpy().astype(np.int64)
    _check_within(part, spans, chosen, lengths)
    offsets = chosen["offset"].to_numpy().astype(np.int64)
    offsets += spans["first"].to_numpy()
    ids = _open_ids(part, dtype, int(lengths.sum()))
    if len(ids) < int((pool["offset"] + pool["n_tokens"]).max() or 0):  # type: ignore[arg-type]
        raise IntegrityError(
            f"{part.ids} is shorter than its pool rows say",
            hint="Delete the receipt of this part and build again.",
        )
    runs.add(number, ids, offsets, lengths, _facts(part, chosen, columns, licenses))


def _check_within(
    part: Part, spans: "pl.DataFrame", chosen: "pl.DataFrame", lengths: Counts
) -> None:
    """A span ends within its pool row; one that is not cut takes the row to its end."""
    left = chosen["n_tokens"].to_numpy().astype(np.int64) - spans["first"].to_numpy()
    cut = spans["cut"].to_numpy()
    wrong = (lengths < 1) | (lengths > left) | (~cut & (lengths != left))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise IntegrityError(
            f"the plan does not fit the pool of {part.source} {part.name}",
            details=[
                f"row {spans['row'][at]:,} has {left[at]:,} tokens, the plan takes {lengths[at]:,}"
            ],
            hint="Delete the plan and build again.",
        )


def _open_ids(part: Part, dtype: str, n_taken: int) -> Ids:
    kind = np.dtype(dtype).newbyteorder("<")
    n_bytes = part.ids.stat().st_size
    if n_bytes == 0:
        return np.empty(0, kind)
    ids = np.memmap(part.ids, kind, mode="r")
    if n_taken * kind.itemsize * WHOLE_READ >= n_bytes:
        mapping: Any = ids._mmap  # type: ignore[attr-defined]
        mapping.madvise(mmap.MADV_WILLNEED)
    return ids


def _blocks(lengths: Counts) -> Iterator[slice]:
    borders = np.flatnonzero(np.diff(np.cumsum(lengths) // BLOCK_TOKENS)) + 1
    edges = [0, *borders.tolist(), len(lengths)]
    for a, b in pairwise(edges):
        yield slice(a, b)


def _facts(
    part: Part, chosen: "pl.DataFrame", columns: Columns, licenses: Mapping[str, str]
) -> "pl.DataFrame":
    """What is known of each span without the plan, as `columns` has it, and `n_tokens_whole`."""
    import polars as pl

    own = [n for n in pl.read_parquet_schema(part.documents) if n not in SCHEMA_NAMES]
    table = pl_read(part.documents, [*FROM_DOCUMENTS, *own])
    for path in part.tags:
        tags = pl.read_parquet(path)
        if tags.height != table.height:
            raise IntegrityError(
                f"{path} has {tags.height:,} rows for {table.height:,} documents",
                hint="Delete its receipt and build again.",
            )
        table = table.hstack(tags)
    if int(chosen["row"].max()) >= table.height:  # type: ignore[arg-type]
        raise IntegrityError(f"the pool of {part.source} {part.name} names a row beyond its part")
    whole = pl.col("n_tokens").alias("n_tokens_whole")
    table = table[chosen["row"]].hstack(chosen.select("key", "n_bytes", "digest", "piece", whole))
    if table["piece"].null_count() < table.height:
        table = table.with_columns(_piece_ids(table))
    known: list[Any] = [
        pl.col(name) if name in table.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in columns.items()
        if name not in ("source", "license")
    ]
    return table.select(
        *known,
        pl.lit(part.source).alias("source"),
        pl.coalesce("license", pl.lit(licenses.get(part.source), dtype=pl.String)),
        "n_tokens_whole",
    )


def _piece_ids(table: "pl.DataFrame") -> "pl.Series":
    import polars as pl

    pairs = zip(table["id"].to_list(), table["piece"].to_list(), strict=True)
    named = [name if piece is None else piece_id(name, piece) for name, piece in pairs]
    return pl.Series("id", named, dtype=pl.String)


def pl_read(path: Path, columns: Sequence[str]) -> "pl.DataFrame":
    """Only `columns` of a Parquet file: the text of a documents part is never read."""
    import polars as pl

    return pl.read_parquet(path, columns=list(columns))
