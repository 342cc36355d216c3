"""
Turn dumps with a row per post into tables of posts: archives' CSV, scrapers' CSV, Parquet.

    asagi    FoolFuuka's MySQL export (4plebs without header, archived.moe with one, the 32 columns
             of its /v/): escaped CSV, BBCode bodies, ghost posts, New York's clock
    csv      anything with a header, as pandas writes it
    parquet  the same in columns; a row's place is its number

The rows of a thread need not lie together; `group` brings them together.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from curate.errors import InputError
from curate.readers import csvrows
from curate.readers.base import Declaration, Tally
from curate.readers.csvrows import DOUBLED, ESCAPED, Records
from curate.readers.decompress import Stream
from curate.readers.fourchan import rows

if TYPE_CHECKING:
    import polars as pl

# fmt: off
ASAGI = [
    "num", "subnum", "thread_num", "op", "timestamp", "timestamp_expired", "preview_orig",
    "preview_w", "preview_h", "media_filename", "media_w", "media_h", "media_size", "media_hash",
    "media_orig", "spoiler", "deleted", "capcode", "email", "name", "trip", "title", "comment",
    "sticky", "locked", "poster_hash", "poster_country", "exif",
]
# fmt: on
"""Columns of an export without header (4CAT's importers of 4plebs and archived.moe agree)."""

N_SURE = ASAGI.index("locked") + 1
"""Columns that the 32-column variant shares; nobody has documented the others."""

BATCH = 50_000
"""Rows of a Parquet file taken at a time."""


def asagi(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts of a FoolFuuka export; ghost posts are skipped unless `ghosts = "keep"`."""
    import polars as pl

    settings = {"markup": "bbcode", "timezone": "America/New_York", **_chosen(declaration)}
    names: list[str] | None = None
    for records in csvrows.records_of(stream, ESCAPED):
        first = 0
        if names is None:
            cells = _cells(records, ESCAPED)
            first = 1 if "num" in cells else 0
            names = cells if first else _without_header(len(cells), stream)
        table = _named(records, names, ESCAPED, first, tally)
        if "exif" in table.columns:
            flag = pl.col("exif").str.json_path_match("$.troll_country")
            table = table.with_columns(flag.alias("troll_country"))
        places = rows.roles(table.columns, declaration["columns"])
        if declaration["ghosts"] == "skip" and "ghost" in places:
            ghost = rows.integer(pl.col(places["ghost"])).fill_null(0) > 0
            n_ghosts = table.filter(ghost).height
            tally.n_records += n_ghosts
            tally.skip("ghost", n_ghosts)
            table = table.filter(~ghost)
        yield _posts(table, places, settings, records, tally)


def csv(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts of a CSV file with a header."""
    names: list[str] | None = None
    for records in csvrows.records_of(stream, DOUBLED):
        first = 0
        if names is None:
            names, first = _cells(records, DOUBLED), 1
        table = _named(records, names, DOUBLED, first, tally)
        places = rows.roles(table.columns, declaration["columns"])
        yield _posts(table, places, {**rows.SETTINGS, **_chosen(declaration)}, records, tally)


def parquet(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts of a Parquet file."""
    import polars as pl

    path = stream.local(tally.scratch)
    settings = {**rows.SETTINGS, **_chosen(declaration)}
    try:
        batches = pl.scan_parquet(path).collect_batches(chunk_size=BATCH, maintain_order=True)
        n_seen = 0
        for batch in batches:
            table = batch.with_row_index("row", offset=n_seen)
            n_seen += batch.height
            places = rows.roles(batch.columns, declaration["columns"])
            yield _posts(table, places, settings, None, tally)
    except pl.exceptions.PolarsError as error:
        raise stream.damaged(f"it is not readable as Parquet ({type(error).__name__})") from error


def _chosen(declaration: Declaration) -> dict[str, Any]:
    """Settings of the declaration, without those left to the form of the dump."""
    chosen = {name: declaration[name] for name in rows.SETTINGS}
    return {name: value for name, value in chosen.items() if value != "auto"}


def _cells(records: Records, dialect: str) -> list[str]:
    """Fields of the first record; InputError if there is none."""
    first = records.raw(0) if len(records) else b""
    n_fields = int(records.n_commas[0]) + 1 if first else 0
    alone = Records(first, *csvrows.cut(first, dialect), offset=0, line=1)
    table, bad = csvrows.table(alone, n_fields, dialect)
    if bad or not table.height:
        raise InputError("the first record of a CSV file cannot be read", details=[str(bad)])
    return ["" if cell is None else cell for cell in table.drop("row").row(0)]


def _without_header(n_fields: int, stream: Stream) -> list[str]:
    if n_fields == len(ASAGI):
        return ASAGI
    if n_fields > len(ASAGI):
        return [*ASAGI[:N_SURE], *(f"unknown {k}" for k in range(N_SURE, n_fields))]
    raise InputError(
        f"{stream.name} has {n_fields} columns and no header",
        details=[f"FoolFuuka exports have {len(ASAGI)} (4plebs) or 32 (archived.moe's /v/)"],
        hint='If it is another kind of CSV, give it a header line and set dump = "csv".',
    )


def _named(
    records: Records, names: list[str], dialect: str, first: int, tally: Tally
) -> "pl.DataFrame":
    """Records from number `first` on, with the names of their columns; bad ones are rejected."""
    import polars as pl

    table, bad = csvrows.table(records, len(names), dialect)
    csvrows.reject(records, [(row, reason) for row, reason in bad if row >= first], tally)
    seen: set[str] = set()
    renamed = []
    for k, name in enumerate(names):
        renamed.append(pl.col(str(k)).alias(name if name not in seen else f"{name} {k}"))
        seen.add(name)
    return table.filter(pl.col("row") >= first).select("row", *renamed)


def _posts(
    table: "pl.DataFrame",
    places: dict[str, str],
    settings: dict[str, Any],
    records: Records | None,
    tally: Tally,
) -> "pl.DataFrame":
    """Rows as a table of posts; those without a number of their own or of a thread are rejected."""
    import polars as pl

    made, n_unreadable = rows.posts(table, places, settings)
    tally.notes["timestamps-unreadable"] += n_unreadable
    where = (
        pl.col("row").cast(pl.UInt64)
        if records is None
        else pl.lit(pl.Series(records.starts + records.offset, dtype=pl.UInt64)).gather("row")
    )
    made = made.with_columns(
        table.select("row", where.alias("offset"), pl.col("row").cast(pl.UInt32).alias("record"))
    )
    for column, reason in (("no", "no-post-number"), ("thread", "no-thread-number")):
        wrong = made.filter(pl.col(column).is_null())["row"].to_list()
        if not wrong:
            continue
        if records is not None:
            csvrows.reject(records, [(row, reason) for row in wrong], tally)
        else:
            for record in table.filter(pl.col("row").is_in(wrong)).iter_rows(named=True):
                tally.n_records += 1
                row = record.pop("row")
                raw = orjson.dumps(record, default=str)
                tally.reject(offset=row, line=row + 1, reason=reason, raw=raw)
        made = made.filter(pl.col(column).is_not_null())
    return made.drop("row")
