"""
Turn JSON lines of web text, C4 above all, into documents.

A record needs a `text`; what else it has is told from the first record of the file:

    c4      {"text", "timestamp": "2019-04-21T18:54:04Z", "url"}    allenai/c4, mC4
    date    {"text", "url", "date"}                                 AI2's fixtures
    dolma   {"id", "text", "source", "added", "created", "metadata": {"url", "language"…}}
    text    {"text"}                                                anything else is passed over

The id is `<url>#<first 16 hex of sha256 of the text>`, or `sha256:…` where no URL is known.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from curate.readers import jsonrows, parts
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.lines import Block

if TYPE_CHECKING:
    import polars as pl

STRINGS = ("text", "url", "timestamp", "date", "id", "created", "source", "language", "license")
"""Keys read where the first record has them as strings."""

TIME_FORMATS = ("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f")


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """No columns beyond those of every documents table."""
    return {}


def read(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Documents of one file of JSON lines; see the module for what is recognised."""
    import polars as pl

    schema: dict[str, Any] | None = None
    for block in jsonrows.blocks(stream, tally):
        if schema is None:
            schema = _schema_of(block)
        lines = jsonrows.Lines.of(block)
        rows = jsonrows.rows_of(lines, schema or {"text": pl.String()}, stream, tally)
        yield _documents(rows, lines, tally)


def _schema_of(block: Block) -> "dict[str, Any] | None":
    """The keys to read, from the first record that is an object with a text."""
    import polars as pl

    for line in block.data.split(b"\n"):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            continue
        schema: dict[str, Any] = {
            name: pl.String() for name in STRINGS if isinstance(record.get(name), str)
        }
        nested = record.get("metadata")
        if isinstance(nested, dict):
            inner = [n for n in ("url", "language", "license") if isinstance(nested.get(n), str)]
            if inner:
                schema["metadata"] = pl.Struct({name: pl.String() for name in inner})
        return schema
    return None


def _documents(rows: "pl.DataFrame", lines: jsonrows.Lines, tally: Tally) -> "pl.DataFrame":
    import polars as pl

    wrong = jsonrows.coerced(rows, {"text": ["text"]}, lines)
    jsonrows.reject(lines, wrong, "wrong-type", tally)
    missing = rows.filter(pl.col("text").is_null())["row"].to_list()
    jsonrows.reject(lines, missing, "no-text-key", tally)
    if wrong or missing:
        rows = rows.filter(~pl.col("row").is_in([*wrong, *missing]))
    tally.n_records += rows.height
    empty = rows["text"] == ""
    tally.skip("no-text", int(empty.sum()))
    places = pl.Series(lines.offsets).gather(rows["row"])
    rows = rows.with_columns(places.alias("offset")).filter(~empty)
    return with_web_ids(_named(rows, tally))


def _named(rows: "pl.DataFrame", tally: Tally) -> "pl.DataFrame":
    """Columns of a documents table from those of the variant at hand."""
    import polars as pl

    if "metadata" in rows.columns:
        inner = rows["metadata"].struct.fields
        rows = rows.with_columns(
            pl.col("metadata").struct.field(name) for name in inner if name not in rows.columns
        )
    urls = [pl.col(name) for name in ("url",) if name in rows.columns]
    if "id" in rows.columns:
        # Dolma's web sources have the URL as the id.
        urls.append(pl.when(pl.col("id").str.contains("^https?://")).then(pl.col("id")))
    times = [pl.col(n) for n in ("timestamp", "date", "created") if n in rows.columns]
    nothing = pl.lit(None, dtype=pl.String)
    rows = rows.select(
        "text",
        "offset",
        pl.coalesce(*urls, nothing).alias("url"),
        pl.coalesce(*times, nothing).alias("time"),
        pl.lit(1).alias("n_posts"),
        *[name for name in ("license", "language") if name in rows.columns],
    )
    timestamp = epoch_seconds(rows["time"])
    unread = rows["time"].is_not_null() & timestamp.is_null()
    tally.notes["timestamps-unreadable"] += int(unread.sum())
    return rows.drop("time").with_columns(timestamp.alias("timestamp"))


def epoch_seconds(times: "pl.Series") -> "pl.Series":
    """UTC seconds (Int64) of a String column of ISO 8601 times; null where unreadable."""
    import polars as pl

    result = pl.repeat(None, len(times), dtype=pl.Int64, eager=True)
    for pattern in TIME_FORMATS:
        if result.null_count() == times.null_count():
            break
        zone = "UTC" if pattern.lower().endswith("z") else None
        read = times.str.to_datetime(pattern, time_unit="us", strict=False, time_zone=zone)
        result = pl.select(pl.coalesce(result, read.dt.epoch("s"))).to_series()
    return result


def with_web_ids(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Add `id`, `group` and `content` to rows with `text` and `url`."""
    import polars as pl

    content = parts.contents(rows["text"])
    url = rows["url"]
    whole = text_ids(rows.filter(url.is_null())["text"])
    without = pl.Series(whole, dtype=pl.String)
    short = content.bin.slice(0, 8).bin.encode("hex")
    with_url = url + "#" + short
    if len(without):
        filled = with_url.to_list()
        fill = iter(without.to_list())
        with_url = pl.Series([f if f is not None else next(fill) for f in filled], dtype=pl.String)
    return rows.with_columns(with_url.alias("id"), url.alias("group"), content.alias("content"))


def text_ids(texts: "pl.Series") -> list[str]:
    """`sha256:<64 hex>` of each text."""
    from curate import document

    return [document.text_id(text) for text in texts.to_list()]
