"""
Turn a plan and the pool into runs: the spans each part gives, back to back, in stream order.

The pool is read once, part after part. A shard is then made of one stretch of every run, so that a
mix of any size is written with sequential reads and the memory of one shard. Small runs stay in
memory, larger ones are spilled to files beside the mix; the bytes of the mix do not depend on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate import files
from curate.document import SCHEMA_NAMES, piece_id
from curate.errors import IntegrityError
from curate.shards.columns import FROM_DOCUMENTS, Columns
from curate.shards.gather import Counts, Ids, as_bytes, gather
from curate.store import Part

if TYPE_CHECKING:
    import polars as pl

BATCH_SPANS = 4_000_000
"""Rows of the plan held at once: about 100 MB."""

BLOCK_TOKENS = 32_000_000
"""Tokens gathered at once from a part: at most 128 MB."""

WHOLE_READ = 16
"""A part of which at least 1/16 is taken is read whole and in order, not page by page."""

POOL_COLUMNS = ("row", "piece", "key", "n_tokens", "n_bytes", "offset", "digest")


class Runs:
    """The runs of one arm: `take` gives the next stretch of a part's run."""

    def __init__(self, folder: Path, *, spill: bool, dtype: str) -> None:
        self._folder = folder
        self._spill = spill
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._ids: dict[int, Ids] = {}
        self._tables: dict[int, pl.DataFrame] = {}
        self._taken: dict[int, tuple[int, int]] = {}  # part → (spans, tokens) already given out

    def add(self, part: int, blocks: Iterator[Ids], table: "pl.DataFrame") -> None:
        """Keep the run of a part: its ids in blocks, one row of `table` per span."""
        self._taken[part] = (0, 0)
        if not self._spill:
            self._ids[part] = np.concatenate(list(blocks))
            self._tables[part] = table
            return
        files.make_folder(self._folder)
        # Nothing in the spill survives the build, so none of it is fsynced.
        files.announce("write", self._folder / f"{part}.ids")
        with open(self._folder / f"{part}.ids", "wb") as file:
            for block in blocks:
                file.write(as_bytes(block))
        files.announce("write", self._folder / f"{part}.ipc")
        table.write_ipc(self._folder / f"{part}.ipc", compression="uncompressed")

    def take(self, part: int, n_spans: int, n_tokens: int) -> "tuple[Ids, pl.DataFrame]":
        """The next `n_spans` spans of a part's run: their ids and their rows."""
        import polars as pl

        span, token = self._taken[part]
        self._taken[part] = (span + n_spans, token + n_tokens)
        if not self._spill:
            table = self._tables[part].slice(span, n_spans)
            return self._ids[part][token : token + n_tokens], table
        width = self._dtype.itemsize
        ids = np.fromfile(
            self._folder / f"{part}.ids", self._dtype, count=n_tokens, offset=token * width
        )
        lazy = pl.scan_ipc(self._folder / f"{part}.ipc").slice(span, n_spans)
        return ids, lazy.collect()


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
    runs.add(
        number,
        (gather(ids, offsets[block], lengths[block]) for block in _blocks(lengths)),
        _facts(part, chosen, columns, licenses),
    )


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
    if n_bytes == 0 or n_taken * kind.itemsize * WHOLE_READ >= n_bytes:
        return np.fromfile(part.ids, kind)
    return np.memmap(part.ids, kind, mode="r")


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
