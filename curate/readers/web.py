"""
Turn JSON lines of text, C4 above all, into documents.

A record needs a text. For `reader = "c4"` the rest is told from the first record of the file:

    c4      {"text", "timestamp": "2019-04-21T18:54:04Z", "url"}    allenai/c4, mC4
    date    {"text", "url", "date"}                                 AI2's fixtures
    dolma   {"id", "text", "source", "added", "created", "metadata": {"url", "language"…}}
    text    {"text"}                                                anything else is passed over

For `reader = "jsonl"` the recipe says which key holds what, a dot leading into nested objects, and
which further keys to keep, as text, in columns `jsonl.<key>`:

    columns = { text = "body", url = "meta.link", time = "crawled" }
    keep    = ["label"]
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from curate.readers import jsonrows, pages
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.lines import Block

if TYPE_CHECKING:
    import polars as pl

Paths = dict[str, tuple[str, ...]]
"""Role → keys under which it may lie, the first that has a value counts."""

KNOWN: Paths = {
    "text": ("text",),
    "url": ("url", "metadata.url", "id"),
    "time": ("timestamp", "date", "created", "metadata.date_download"),
    "language": ("language", "metadata.language"),
    "license": ("license", "metadata.license"),
}
"""Where `reader = "c4"` looks; an `id` is a URL only if it looks like one, as Dolma's do."""


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """The keys to keep, as text."""
    import polars as pl

    return {f"jsonl.{name}": pl.String() for name in declaration.get("keep", [])}


def read(
    streams: Sequence[Stream], declaration: Declaration, tally: Tally
) -> "Iterator[pl.DataFrame]":
    """Documents of one file of JSON lines; see the module for what is recognised."""
    (stream,) = streams
    paths: Paths | None = None
    if declaration["reader"] == "jsonl":
        paths = {"text": ("text",)} | {r: (key,) for r, key in declaration["columns"].items()}
    kept = {f"jsonl.{name}": name for name in declaration.get("keep", [])}

    def documents(block: Block) -> "pl.DataFrame":
        nonlocal paths
        paths = paths or _recognised(block)
        here = paths or {"text": ("text",)}
        lines = jsonrows.Lines.of(block)
        schema = _schema([*(key for keys in here.values() for key in keys), *kept.values()])
        table = jsonrows.rows_of(lines, schema, stream, tally)
        return pages.documents(_rows(table, here, kept, lines, tally), tally)

    # `map` lets go of a block before the next is read, as a loop would not.
    return map(documents, jsonrows.blocks(stream, tally))


def _recognised(block: Block) -> Paths | None:
    """Where the first record of a block that has a text keeps what is known."""
    for line in block.data.split(b"\n"):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("text"), str):
            found = {
                role: tuple(key for key in keys if isinstance(_at(record, key), str))
                for role, keys in KNOWN.items()
            }
            return {role: keys for role, keys in found.items() if keys}
    return None


def _at(record: Any, path: str) -> Any:
    for key in path.split("."):
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _schema(paths: list[str]) -> "dict[str, Any]":
    """Strings at the end of dotted paths, structs on the way."""
    import polars as pl

    tree: dict[str, Any] = {}
    for path in paths:
        *outer, last = path.split(".")
        branch = tree
        for key in outer:
            branch = branch.setdefault(key, {})
        branch[last] = None

    def kind(branch: dict[str, Any] | None) -> Any:
        if branch is None:
            return pl.String()
        return pl.Struct({key: kind(inner) for key, inner in branch.items()})

    return {key: kind(branch) for key, branch in tree.items()}


def _rows(
    table: "pl.DataFrame",
    paths: Paths,
    kept: dict[str, str],
    lines: jsonrows.Lines,
    tally: Tally,
) -> "pl.DataFrame":
    """Columns named by their roles; lines whose text is missing or no text are rejected."""
    import polars as pl

    def value(path: str) -> "pl.Expr":
        first, *inner = path.split(".")
        found = pl.col(first)
        for key in inner:
            found = found.struct.field(key)
        if path == "id":
            return pl.when(found.str.contains("^https?://")).then(found)
        return found

    places = pl.lit(pl.Series(lines.offsets, dtype=pl.UInt64))
    rows = table.select(
        "row",
        places.gather("row").alias("offset"),
        *[pl.coalesce(*map(value, keys)).alias(role) for role, keys in paths.items()],
        *[value(path).alias(name) for name, path in kept.items()],
    )
    wrong = jsonrows.coerced(rows, {"text": paths["text"][0].split(".")}, lines)
    jsonrows.reject(lines, wrong, "wrong-type", tally)
    missing = rows.filter(pl.col("text").is_null())["row"].to_list()
    jsonrows.reject(lines, missing, "no-text-key", tally)
    if wrong or missing:
        rows = rows.filter(~pl.col("row").is_in([*wrong, *missing]))
    return rows.drop("row")
