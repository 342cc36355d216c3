"""
Turn a plan and the pool into a mix on disk: shards, links, sidecars, spans.parquet, tokenizer.json.

    plan + pool ──runs──▶ a run per part ──place──▶ a shard in memory ──check──▶ its files

The pool is read once, in order, and scattered to runs; each shard is then put together from one
stretch of every run. While a shard is written and made durable the next one is put together.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate import files
from curate.errors import IntegrityError
from curate.shards import columns as cols
from curate.shards import sidecars
from curate.shards.content import content_of
from curate.shards.gather import Counts, Ids
from curate.shards.observe import Observed
from curate.shards.place import Shard, place
from curate.shards.runs import Runs, make_runs
from curate.shards.shard_files import digest_of_ids, shard_name, write_shard_files
from curate.store import Part

if TYPE_CHECKING:
    from curate.tokenizer import Tokenizer

SPILL = files.TEMPORARY_PREFIX + "spill"

TABLE_SPANS = 1_000_000
"""Mixes of up to so many spans keep what is known of them in memory: about 300 MB."""

BOTH_IN_MEMORY = 1024 * 1024 * 1024
"""A shard is put together while the last is written only if both are within this many bytes."""


def memory_there_is() -> int:
    """Bytes of memory this process may use: the machine's, or its control group's if less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


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
    pool_memory: int | None = None,
) -> dict[str, Any]:
    """
    Write every file of a mix but its manifest and SHA256SUMS; returns the manifest's `content`.

    `plan` is the folder of docs/format.md §3.4, `arm` the stem of one of its files, `facts` that
    arm's object of plan.json, `parts` the rows of parts.parquet in order, `licenses` those of
    sources whose documents have none of their own, `siblings` mix folders of other arms whose
    equal shards may be linked. `progress` is told how many tokens were written. A pool of more
    than `pool_memory` bytes (a quarter of the memory there is) is spilled; no byte of the result
    depends on it.

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
    limit = memory_there_is() // 4 if pool_memory is None else pool_memory
    runs = Runs(
        out / SPILL,
        dtype=tokenizer.dtype,
        spill_ids=sum(part.ids.stat().st_size for part in parts) > limit,
        spill_tables=sum(n_spans for _, n_spans in borders) > TABLE_SPANS,
    )
    make_runs(rows, parts, runs=runs, columns=columns, licenses=licenses, dtype=tokenizer.dtype)
    observed = Observed(names, totals)
    writer = Writer(out, link, siblings, observed, progress)
    with writer:
        for number, (first, n_spans) in enumerate(borders):
            table = pl.scan_parquet(rows).slice(first, n_spans).collect()
            ids = writer.room(int(table["n_tokens"].sum()), tokenizer.dtype)
            writer.write(place(number, table, ids, runs, tokenizer, names, columns))
    write_spans(out, len(borders), columns)
    files.write_bytes(out / "tokenizer.json", tokenizer.json)
    _remove_strays(out, observed)
    return content_of(out / "spans.parquet", observed, facts, tokenizer, layout=layout, seed=seed)


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


class Writer:
    """
    Writes one shard while the next is put together.

    One thread makes every change to the disk, in order of shards, so that a build that is stopped
    before its k-th change is always in the same state.
    """

    def __init__(
        self,
        out: Path,
        link: str,
        siblings: Sequence[Path],
        observed: Observed,
        progress: Callable[[int], None],
    ) -> None:
        self._out = out
        self._link = link
        self._siblings = [folder / "shards" for folder in siblings]
        self._observed = observed
        self._progress = progress
        self._disk = ThreadPoolExecutor(1)
        self._compress = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None
        self._pending_bytes = 0
        self._rooms: list[Ids] = [np.empty(0), np.empty(0)]

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.wait()
        finally:
            self._disk.shutdown(cancel_futures=True)
            self._compress.shutdown(cancel_futures=True)

    def wait(self) -> None:
        """Wait for the shard being written; its error, if it had one, is raised here."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def room(self, n_tokens: int, dtype: str) -> Ids:
        """
        An array for the next shard, whatever is in it: shape (n_tokens,).

        Waits for the shard being written, unless both fit in memory. Arrays are used again: fresh
        memory costs the system more than what we fill it with.
        """
        kind = np.dtype(dtype).newbyteorder("<")
        if self._pending_bytes + n_tokens * kind.itemsize > BOTH_IN_MEMORY:
            self.wait()
        else:
            self._rooms.reverse()
        if len(self._rooms[0]) < n_tokens:
            self._rooms[0] = np.empty(n_tokens, dtype=kind)
        return self._rooms[0][:n_tokens]

    def write(self, shard: Shard) -> None:
        """Start to write a shard; waits for the one before."""
        self.wait()
        table = self._compress.submit(sidecars.document_table, shard.spans)
        self._pending_bytes = shard.ids.nbytes
        self._pending = self._disk.submit(self._write, shard, table)
        self._observed.add(shard.components, shard.lengths, shard.spans)

    def _write(self, shard: Shard, table: "Future[bytes]") -> None:
        digest = digest_of_ids(shard.ids)
        name = shard_name(shard.number, digest)
        write_shard_files(
            self._out / "shards",
            name,
            shard,
            table.result(),
            link=self._link,
            siblings=self._siblings,
        )
        path = spilled_spans(self._out, shard.number)
        files.make_folder(path.parent)
        files.announce("write", path)
        shard.spans.drop("n_tokens_whole").write_ipc(path, compression="uncompressed")
        self._observed.add_shard(name, digest, len(shard.ids), shard.spans.height)
        self._progress(len(shard.ids))


def spilled_spans(out: Path, number: int) -> Path:
    """Where the rows of a shard wait for spans.parquet to be written."""
    return out / SPILL / f"spans-{number:05d}.ipc"


def write_spans(out: Path, n_shards: int, columns: cols.Columns) -> None:
    """Write spans.parquet from the rows of every shard; the bytes do not depend on threads."""
    import polars as pl

    if n_shards:
        spans = pl.scan_ipc([spilled_spans(out, number) for number in range(n_shards)])
    else:
        spans = pl.LazyFrame(schema=columns)
    with files.replacing(out / "spans.parquet") as temporary:
        spans.sink_parquet(
            temporary,
            compression="zstd",
            compression_level=3,
            statistics=True,
            row_group_size=131_072,
            maintain_order=True,
        )


def _remove_strays(out: Path, observed: Observed) -> None:
    """Delete the spill, and shards that a build of something else was stopped in."""
    files.remove(out / SPILL)
    names = [shard["name"] for shard in observed.shards]
    wanted = {f"{name}{suffix}" for name in names for suffix in sidecars.SUFFIXES}
    for path in sorted((out / "shards").iterdir()):
        if path.name not in wanted:
            files.remove(path)
