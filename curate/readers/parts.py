"""
Turn batches of documents into parts: Parquet files of about 256 MB of text each.

Part borders depend on the documents alone, not on how they were batched, and a part is written
while its documents are read, a row group at a time.

    >>> import pathlib, tempfile, polars as pl
    >>> out = pathlib.Path(tempfile.mkdtemp())
    >>> batch = pl.DataFrame({"id": ["4chan:g/1", "4chan:g/5"], "text": ["one", "three"],
    ...                       "offset": [0, 40], "n_posts": [1, 1]})
    >>> sha = "c0ffee" * 10 + "0000"
    >>> for part in write(iter([batch]), {}, out=out, input_sha256=sha, part_bytes=3):
    ...     print(part)
    {'name': 'c0ffeec0ffeec0ff-00000', 'n_documents': 1, 'n_bytes': 3}
    {'name': 'c0ffeec0ffeec0ff-00001', 'n_documents': 1, 'n_bytes': 5}
"""

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate import document, files, store
from curate.readers import domains

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS, LEAST_ROWS = 65_536, 1
"""Rows of a row group, at most and at least; a power of two between them."""

GROUP_BYTES = 8 << 20
"""Bytes of text of a row group, about: what is held in memory while it fills, some three times."""

SAMPLE = 256
"""Documents at the start of a part from which its rows per row group are reckoned."""


def complete(
    batch: "pl.DataFrame", extras: "dict[str, pl.DataType]", *, input_name: str
) -> "pl.DataFrame":
    """
    A batch of a reader with all columns of a documents table, in their order.

    The reader's `group` is the String id of the group, null for the document's own id.
    """
    import polars as pl

    keys = document.keys(batch["id"])
    columns: dict[str, Any] = {
        "key": keys,
        "n_bytes": pl.col("text").str.len_bytes(),
        "group": _groups(batch, keys),
    }
    if "input" not in batch.columns:
        columns["input"] = pl.lit(input_name)
    if "content" not in batch.columns:
        columns["content"] = contents(batch["text"])
    if "url" in batch.columns:
        columns["registered_domain"] = domains.registered(batch["url"])
    known = set(batch.columns)
    return batch.select(
        (
            columns[name]
            if name in columns
            else pl.col(name)
            if name in known
            else pl.lit(None, dtype=kind)
        )
        .cast(kind)
        .alias(name)
        for name, kind in {**document.schema(), **extras}.items()
    )


def contents(texts: "pl.Series") -> "pl.Series":
    """First 16 bytes of the sha256 of each text: Binary column."""
    import polars as pl

    encoded = texts.cast(pl.Binary).to_list()
    return pl.Series([hashlib.sha256(t).digest()[:16] for t in encoded], dtype=pl.Binary)


def write(
    batches: "Iterator[pl.DataFrame]",
    extras: "dict[str, pl.DataType]",
    *,
    out: Path,
    input_sha256: str,
    part_bytes: int,
) -> list[dict[str, Any]]:
    """
    Write all documents of one input into parts of `out` → name, n_documents, n_bytes of each.

    A part ends with the document that brings its text to `part_bytes`; or, where documents turn out
    much longer than its first ones, that of a row group to twice GROUP_BYTES.
    """
    from polars.io.plugins import register_io_source

    name = input_sha256[:16]
    schema = {**document.schema(), **extras}
    completed = functools.partial(complete, extras=extras, input_name=name)
    # `map` lets go of a batch before the next is read, as a loop would not.
    cutter = _Cutter(map(completed, filter(len, batches)), part_bytes)
    parts: list[dict[str, Any]] = []
    while cutter.more():
        part = store.part_name(input_sha256, len(parts))
        row_group = cutter.start()

        def source(*_: object) -> "Iterator[pl.DataFrame]":
            return cutter.part()

        with files.replacing(out / f"{part}.parquet") as temporary:
            register_io_source(source, schema=schema).sink_parquet(
                temporary,
                compression="zstd",
                compression_level=1,
                row_group_size=row_group,
                statistics=True,
                maintain_order=True,
            )
        parts.append({"name": part, "n_documents": cutter.n_documents, "n_bytes": cutter.n_bytes})
    return parts


class _Cutter:
    """Deal batches out to parts, cutting a batch where a part is full."""

    def __init__(self, batches: "Iterator[pl.DataFrame]", part_bytes: int) -> None:
        self._batches = batches
        self._part_bytes = part_bytes
        self._held: list[pl.DataFrame] = []
        self._row_group = 0
        self._in_group = 0  # bytes of text of the row group that is filling
        self._full = False
        self.n_documents = 0
        self.n_bytes = 0

    def more(self) -> bool:
        """Whether another document follows."""
        return self._hold(1)

    def start(self) -> int:
        """Begin a part → its rows per row group, such that one holds about GROUP_BYTES of text."""
        self.n_documents = self.n_bytes = self._in_group = 0
        self._full = False
        self._hold(SAMPLE)
        sizes = np.concatenate([batch["n_bytes"].head(SAMPLE).to_numpy() for batch in self._held])
        sizes = sizes[:SAMPLE].astype(np.int64)
        enough = int(np.searchsorted(np.cumsum(sizes), GROUP_BYTES)) + 1
        per_document = max(int(sizes[:enough].mean()), 1)
        rows = max(min(GROUP_BYTES // per_document, MOST_ROWS), LEAST_ROWS)
        self._row_group = 1 << (rows.bit_length() - 1)
        return self._row_group

    def part(self) -> "Iterator[pl.DataFrame]":
        """The batches of the part that was begun; it ends where it, or a row group, is full."""
        while not self._full and self.more():
            yield self._cut(self._held.pop(0))

    def _cut(self, batch: "pl.DataFrame") -> "pl.DataFrame":
        """The documents of a batch that belong to this part; the others are held."""
        sizes = batch["n_bytes"].to_numpy().astype(np.int64)
        total = self.n_bytes + np.cumsum(sizes)
        place = self.n_documents + np.arange(len(sizes))
        # Bytes since the row group of each document began, itself included.
        opens = np.flatnonzero(place % self._row_group == 0)
        since = np.zeros(len(sizes), dtype=np.int64)
        since[opens] = total[opens] - sizes[opens] - self.n_bytes + self._in_group
        held = self._in_group + np.cumsum(sizes) - np.maximum.accumulate(since)
        ends = np.flatnonzero((total >= self._part_bytes) | (held >= 2 * GROUP_BYTES))
        taken = int(ends[0]) + 1 if len(ends) else len(sizes)
        self._full = len(ends) > 0
        if taken < batch.height:
            self._held.insert(0, batch[taken:])
        self.n_documents += taken
        self.n_bytes = int(total[taken - 1])
        self._in_group = int(held[taken - 1])
        return batch[:taken]

    def _hold(self, n: int) -> bool:
        """Hold n documents, or a row group's worth, if so many follow; whether any do."""
        while (
            sum(batch.height for batch in self._held) < n
            and sum(int(batch["n_bytes"].sum()) for batch in self._held) < GROUP_BYTES
        ):
            batch = next(self._batches, None)
            if batch is None:
                break
            self._held.append(batch)
        return bool(self._held)


def _groups(batch: "pl.DataFrame", keys: "pl.Series") -> "pl.Series":
    """Key of each row's group; where groups repeat, hashed once per distinct group."""
    import polars as pl

    if "group" not in batch.columns:
        return keys
    groups = batch["group"]
    known = groups.drop_nulls().unique(maintain_order=True)
    if 2 * len(known) > len(groups):  # pages: looking a hash up takes as long as making it
        found = document.keys(groups)
    else:
        hashed = document.keys(known)
        found = groups.replace_strict(known, hashed, default=None, return_dtype=pl.Binary)
    return pl.select(pl.coalesce(found, keys)).to_series()
