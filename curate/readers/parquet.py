"""
Turn Parquet files of text into documents.

`columns` of the recipe says which column holds what (`text`, `url`, `time`, `language`, `license`),
each being `text` and so on if it does not; `keep` names further columns to keep under
`parquet.<name>`, as text. Times are ISO 8601 text or timestamps. A row's place is its number.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import orjson

from curate.errors import InputError
from curate.readers import pages
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.options import PAGE_ROLES

if TYPE_CHECKING:
    import polars as pl

BATCH = 20_000
"""Rows taken at a time."""


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """The columns to keep, as text."""
    import polars as pl

    return {f"parquet.{name}": pl.String() for name in declaration["keep"]}


def read(
    streams: Sequence[Stream], declaration: Declaration, tally: Tally
) -> "Iterator[pl.DataFrame]":
    """Documents of one Parquet file."""
    (stream,) = streams
    import polars as pl

    path = stream.local(tally.scratch)
    try:
        scan = pl.scan_parquet(path)
        chosen = _chosen(scan.collect_schema(), declaration, stream)
        n_seen = 0
        wanted = scan.select(chosen)
        for batch in wanted.collect_batches(chunk_size=BATCH, maintain_order=True):
            rows = batch.with_row_index("offset", offset=n_seen)
            n_seen += batch.height
            yield pages.documents(_with_text(rows, tally), tally)
    except pl.exceptions.PolarsError as error:
        raise stream.damaged(f"it is not readable as Parquet ({type(error).__name__})") from error


def _chosen(schema: "pl.Schema", declaration: Declaration, stream: Stream) -> "list[pl.Expr]":
    import polars as pl

    given = declaration["columns"]
    places = {role: given.get(role, role) for role in PAGE_ROLES}
    for role, name in [*given.items(), ("text", places["text"])]:
        if name not in schema:
            raise InputError(
                f"{stream.name} has no column {name!r} for {role}",
                details=[f"columns: {', '.join(schema)}"],
                hint='Name it in columns of the source: columns = { text = "…" }',
            )
    chosen = []
    for role, name in places.items():
        if name in schema:
            column = pl.col(name)
            if role == "time" and schema[name].is_temporal():
                column = column.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
            chosen.append(column.cast(pl.String).alias(role))
    chosen += [pl.col(n).cast(pl.String).alias(f"parquet.{n}") for n in declaration["keep"]]
    return chosen


def _with_text(rows: "pl.DataFrame", tally: Tally) -> "pl.DataFrame":
    """Rows that have a text; the others are rejected."""
    import polars as pl

    for row in rows.filter(pl.col("text").is_null()).iter_rows(named=True):
        offset = row.pop("offset")
        tally.n_records += 1
        tally.reject(offset=offset, line=offset + 1, reason="no-text-key", raw=orjson.dumps(row))
    return rows.filter(pl.col("text").is_not_null())
