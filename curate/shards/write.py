"""
Turn a plan and the pool into a mix on disk: shards, links, sidecars, spans.parquet, tokenizer.json.

    plan + pool ──scatter──▶ a run per part ──place──▶ blocks of a shard ──check──▶ its files

The pool is read once, in order, and scattered to runs; each shard is then put together from one
stretch of every run. While a block is hashed and written the next one is put together. Memory does
not grow with the mix, nor with the pool.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate import files
from curate.errors import IntegrityError
from curate.shards import columns as cols
from curate.shards import memory
from curate.shards.content import content_of
from curate.shards.documents import Documents, Rows, rows_of
from curate.shards.gather import LONG_SPAN, Counts, Ids
from curate.shards.observe import Observed
from curate.shards.place import Block, blocks_of
from curate.shards.runs import Runs, Ways
from curate.shards.scatter import make_runs
from curate.shards.shard_files import OpenShard
from curate.shards.sidecars import SUFFIXES, DocumentTable
from curate.shards.spans import SpanTable
from curate.store import Part

if TYPE_CHECKING:
    from curate.tokenizer import Tokenizer

SPILL = files.TEMPORARY_PREFIX + "spill"

POOL_BYTES = 512 * 1024 * 1024
"""Pools up to this size are mapped into memory."""

READ_SPANS = 20_000_000
"""Of larger mixes runs are spilled too: where each span lies takes 8 bytes."""

TABLE_BYTES = 400 * 1024 * 1024
"""What is known of documents is kept in memory up to this size, or an eighth of what is at hand."""

AHEAD = 2
"""Blocks that may wait to be written while the next is put together."""


def ignore_progress(n_tokens: int) -> None:
    """Tell nobody."""


def write_mix(
    *,
    plan: Path,
    arm: str,
    facts: Mapping[str, Any],
    parts: Sequence[Part],
    tokenizer: "Tokenizer",
    licenses: Mapping[str, str],
    layout: str,
    seed: int,
    out: Path,
    link: str = "hard",
    siblings: Sequence[Path] = (),
    progress: Callable[[int], None] = ignore_progress,
) -> dict[str, Any]:
    """
    Write every file of a mix but its manifest and SHA256SUMS; returns the manifest's `content`.

    `plan` is the folder of docs/format.md §3.4, `arm` the stem of one of its files, `facts` that
    arm's object of plan.json, `parts` the rows of parts.parquet in order, `licenses` those of
    sources whose documents have none of their own, `siblings` mix folders of other arms whose
    equal shards may be linked. `progress` is told how many tokens were written.

    Raises IntegrityError if plan and pool do not fit, or a rule of docs/format.md §5.1 is broken.
    What an interrupted call left in `out` is overwritten or deleted by the next.
    """
    import polars as pl

    if (out / "manifest.json").exists():
        raise IntegrityError(
            f"{out} holds a finished mix", hint="Name another version, or delete the folder."
        )
    rows = plan / f"{arm}.parquet"
    names = [component["name"] for component in facts["components"]]
    sources = [component["source"] for component in facts["components"]]
    columns = {**cols.fixed(), **cols.extra_columns(parts, sources)}
    totals, borders = survey(rows, len(names))
    files.make_folder(out / "shards")
    files.sweep(out)
    n_spans = sum(count for _, count in borders)
    way = way_of(sum(part.ids.stat().st_size for part in parts), n_spans, int(totals.sum()))
    table_bytes = min(TABLE_BYTES, memory.available() // 8)
    runs = Runs(out / SPILL, dtype=tokenizer.dtype, way=way, table_bytes=table_bytes)
    make_runs(rows, parts, runs=runs, columns=columns, licenses=licenses, dtype=tokenizer.dtype)
    phases = {
        number: [(Fraction(stretch), Fraction(density)) for stretch, density in part["phases"]]
        for number, part in enumerate(facts["components"])
        if "phases" in part and totals[number]
    }
    observed = Observed(names, totals, phases)
    documents = Documents(out / SPILL, n_spans)
    with (
        files.replacing(out / "spans.parquet") as temporary,
        SpanTable(temporary, columns) as spans,
    ):
        with Writer(
            out, tokenizer.dtype, link, siblings, (observed, documents), progress
        ) as writer:
            for number, (first, count) in enumerate(borders):
                table = pl.scan_parquet(rows).slice(first, count).collect()
                for block in blocks_of(number, table, runs, tokenizer, names, columns, writer.room):
                    spans.add(block.spans[list(columns)])
                    writer.write(block)
        spans.close()
        content = content_of(documents, observed, facts, tokenizer, layout=layout, seed=seed)
    files.write_bytes(out / "tokenizer.json", tokenizer.json)
    _remove_strays(out, observed)
    return content


def survey(rows: Path, n_components: int) -> tuple[Counts, list[tuple[int, int]]]:
    """
    Tokens of each component (int64), and for each shard its (first row, number of rows).

    Raises IntegrityError if shard numbers do not count up from 0, a component is unknown or ids are
    to be inserted.
    """
    import polars as pl

    scan = pl.scan_parquet(rows)
    if scan.select(pl.col("n_inserted").max()).collect().item():
        raise IntegrityError(
            f"{rows} has spans with inserted ids",
            details=["this version of curate writes documents only"],
            hint="Build with the version of curate that made the plan.",
        )
    sums = (
        scan.group_by("component")
        .agg(pl.col("n_tokens").cast(pl.Int64).sum())
        .collect(engine="streaming")
    )
    totals = np.zeros(n_components, dtype=np.int64)
    if sums.height and int(sums["component"].max()) >= n_components:  # type: ignore[arg-type]
        raise IntegrityError(f"{rows} names a component that plan.json does not")
    totals[sums["component"].to_numpy()] = sums["n_tokens"].to_numpy()
    shards = scan.select("shard").collect()["shard"].rle().struct.unnest()
    if shards["value"].to_list() != list(range(shards.height)):
        raise IntegrityError(
            f"{rows} does not count its shards up from 0",
            hint="Delete the plan and build again.",
        )
    counts = shards["len"].to_list()
    firsts = np.cumsum([0, *counts])[:-1].tolist()
    return totals, list(zip(firsts, counts, strict=True))


def way_of(n_bytes: int, n_spans: int, n_tokens: int) -> Ways:
    """How to come by the ids of a pool of this size, for a mix of so many spans and tokens."""
    if n_bytes <= POOL_BYTES:
        return "map"
    at_hand = n_bytes <= memory.available() // 2
    long = n_tokens >= LONG_SPAN * n_spans  # what one read per span is worth
    return "read" if at_hand and long and n_spans <= READ_SPANS else "spill"


class Writer:
    """
    Writes one block while the next is put together.

    One thread makes every change to the disk, in order, so that a build that is stopped before its
    k-th change always leaves the same.
    """

    def __init__(
        self,
        out: Path,
        dtype: str,
        link: str,
        siblings: Sequence[Path],
        counted: tuple[Observed, Documents],
        progress: Callable[[int], None],
    ) -> None:
        self._out = out
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._link = link
        self._siblings = [folder / "shards" for folder in siblings]
        self._observed, self._documents = counted
        self._progress = progress
        self._disk = ThreadPoolExecutor(1)
        self._beside = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()
        self._rooms: deque[Ids] = deque(np.empty(0) for _ in range(AHEAD + 1))
        self._shard: OpenShard | None = None
        self._table = DocumentTable()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind is None:
                self._wait(0)
        finally:
            self._disk.shutdown(cancel_futures=True)
            self._beside.shutdown(cancel_futures=True)
            if self._shard is not None:
                self._shard.abandon()

    def _wait(self, n_blocks: int) -> None:
        """Wait until so many blocks are left to write; an error of one is raised here."""
        while len(self._pending) > n_blocks:
            self._pending.popleft().result()

    def room(self, n_tokens: int) -> Ids:
        """
        An array for the next block, whatever is in it: shape (n_tokens,).

        They are used in turn: fresh memory costs the system more than filling it costs us.
        """
        self._wait(AHEAD)
        self._rooms.rotate()
        if len(self._rooms[0]) < n_tokens:
            self._rooms[0] = np.empty(n_tokens, dtype=self._dtype)
        return self._rooms[0][:n_tokens]

    def write(self, block: Block) -> None:
        """Start to write a block."""
        listed = self._beside.submit(self._list, block)
        # Hashing many small things holds the interpreter: beside this thread it would halt it.
        rows = rows_of(block.components, block.spans)
        self._pending.append(self._disk.submit(self._write, block, rows, listed))
        self._observed.add(block.components, block.lengths, block.spans)
        if block.last:
            self._observed.end_shard()

    def _list(self, block: Block) -> bytes:
        """Append the block to the shard's `.csv.gz`, which is returned once it is whole."""
        self._table.add(block.spans)
        if not block.last:
            return b""
        table, self._table = self._table, DocumentTable()
        return table.close()

    def _write(self, block: Block, rows: Rows, listed: Future[bytes]) -> None:
        spill = self._out / SPILL
        if self._shard is None:
            self._shard = OpenShard(block.shard, spill, self._dtype.name)
        self._shard.add(block.ids, block.lengths)
        if not self._siblings:  # else it is compared with theirs
            self._shard.let_go()
        self._documents.add(rows)
        table = listed.result()
        if block.last:
            self._close(self._shard, table)
        self._progress(len(block.ids))

    def _close(self, shard: OpenShard, table: bytes) -> None:
        name = shard.close(self._out / "shards", table, link=self._link, siblings=self._siblings)
        self._observed.name_shard(name, shard.digest, shard.n_tokens, shard.n_spans)
        self._shard = None


def _remove_strays(out: Path, observed: Observed) -> None:
    """Delete the spill, and shards that a build of something else was stopped in."""
    files.remove(out / SPILL)
    names = [shard["name"] for shard in observed.shards]
    wanted = {f"{name}{suffix}" for name in names for suffix in SUFFIXES}
    for path in sorted((out / "shards").iterdir()):
        if path.name not in wanted:
            files.remove(path)
