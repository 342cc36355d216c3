"""
Turn tables with a row per post, as scrapers and archives leave them, into tables of posts.

Which column holds what is told by `columns` of the recipe, role by role, or known from the usual
names (`NAMES`): the column called "" is the index that pandas writes. Numbers may be written as
pandas does ("1363920914.0"), times as epoch seconds or as ISO 8601 text.

    >>> import polars as pl
    >>> rows = pl.DataFrame({"no": ["7.0", "9.0"], "resto": ["0.0", "7.0"], "com": ["a<br>b", None],
    ...                      "time": ["1363920914.0", "2013-03-22 02:55:20"]})
    >>> made, unreadable = posts(rows, roles(rows.columns, {}), SETTINGS)
    >>> made.select("thread", "no", "time", "body").rows()
    [(7, 7, 1363920914, 'a\\nb'), (7, 9, 1363920920, None)]
    >>> unreadable
    0
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.readers.fourchan import bbcode, markup
from curate.readers.fourchan.posts import PERSPECTIVES, pseudonyms, tag
from curate.readers.pages import epoch_seconds

if TYPE_CHECKING:
    import polars as pl

NAMES: dict[str, tuple[str, ...]] = {
    "no": ("no", "num", "post_no", "post_id", ""),
    "thread": ("resto", "thread", "thread_num", "thread_no", "thread_id"),
    "text": ("com", "comment", "body", "text"),
    "subject": ("sub", "subject", "title"),
    "time": ("unix_timestamp", "time", "timestamp"),
    "country": ("country", "poster_country"),
    "flag": ("board_flag", "troll_country"),
    "board": ("board",),
    "file": ("filename", "media_filename", "media_orig", "md5", "tim", "ext"),
    "ghost": ("subnum",),
    "name": ("name",),
    "trip": ("trip",),
    "poster": ("id", "poster_hash", "extracted_poster_id"),
}
"""Role (a key of `columns`) → the names under which it is found, the first that a table has."""

SETTINGS: dict[str, Any] = {
    "board": "pol",
    "markup": "html",
    "timezone": "UTC",
    "identities": "drop",
}
"""What `posts` needs of a declaration, with the defaults."""

_INTEGER = r"^\s*(\d{1,18})(?:\.0*)?\s*$"


def roles(columns: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Role → column of a table with these columns; InputError if a given one is not there."""
    found: dict[str, str] = {}
    for role, names in NAMES.items():
        if role in given:
            if given[role] not in columns:
                raise InputError(
                    f"there is no column {given[role]!r} for {role}",
                    details=[f"columns: {', '.join(repr(name) for name in columns)}"],
                    hint='Name it in columns of the source: columns = { no = "…", text = "…" }',
                )
            found[role] = given[role]
        else:
            named = [name for name in names if name in columns]
            found |= {role: named[0]} if named else {}
    missing = [role for role in ("no", "thread", "text") if role not in found]
    if missing:
        raise InputError(
            f"there is no column for {' and '.join(missing)}",
            details=[f"columns: {', '.join(repr(name) for name in columns)}"],
            hint='Name them in columns of the source: columns = { no = "…", text = "…" }',
        )
    return found


def posts(
    rows: "pl.DataFrame", places: Mapping[str, str], settings: Mapping[str, Any]
) -> "tuple[pl.DataFrame, int]":
    """
    A table of posts but for `record` and `offset`, row for row → (table, unreadable times).

    `no` or `thread` is null where a row has no such number: such rows are no posts. A subject is
    taken from opening posts only, since scrapers repeat it on every reply.
    """
    import polars as pl

    def text(role: str) -> "pl.Expr":
        if role not in places:
            return pl.lit(None, dtype=pl.String)
        return pl.col(places[role]).cast(pl.String)

    rows = rows.with_columns(
        integer(text("no")).alias("\0no"), integer(text("thread")).alias("\0thread")
    ).with_columns(
        pl.when(pl.col("\0thread") == 0)
        .then(pl.col("\0no"))
        .otherwise(pl.col("\0thread"))
        .alias("\0thread")
    )
    opening = pl.col("\0no") == pl.col("\0thread")
    words = rows.select(
        text("text").alias("body"),
        pl.when(opening).then(text("subject")).alias("subject"),
        text("time").alias("time"),
    )
    to_text = {"html": markup.to_text, "bbcode": bbcode.to_text, "text": bbcode.as_it_is}[
        settings["markup"]
    ]
    subject = markup.to_text if settings["markup"] == "html" else bbcode.as_it_is
    # Torako writes UTC beside Asagi's clock, and in a column that says so.
    zone = "UTC" if places.get("time") == "unix_timestamp" else settings["timezone"]
    time = _seconds(words["time"], zone)
    made = rows.select(
        pl.coalesce(text("board"), pl.lit(settings["board"])).alias("board"),
        pl.col("\0thread").alias("thread"),
        pl.col("\0no").alias("no"),
        time.alias("time"),
        subject(words["subject"]).alias("subject"),
        to_text(words["body"]).alias("body"),
        text("file").is_not_null().alias("image"),
        _known(text("country")).alias("country"),
        _known(text("flag")).alias("flag"),
        *[_score(rows, name).alias(tag(name)) for name in PERSPECTIVES],
    )
    if settings["identities"] == "hash":
        made = made.with_columns(poster=_posters(rows, places))
    return made, int((words["time"].is_not_null() & time.is_null()).sum())


def integer(column: "pl.Expr") -> "pl.Expr":
    """Whole number of a String expression, also where it is written "7.0"; null if it is none."""
    import polars as pl

    return column.str.extract(_INTEGER).cast(pl.Int64, strict=False)


def _known(column: "pl.Expr") -> "pl.Expr":
    import polars as pl

    return pl.when(column.str.contains(r"\S")).then(column)


def _seconds(times: "pl.Series", zone: str) -> "pl.Series":
    """
    UTC seconds of times written as epoch seconds or ISO 8601 text.

    `zone` is where clocks stood that wrote times without one: "UTC", or "America/New_York" for
    Asagi, which stores New York's wall clock as if it were UTC, epoch seconds included. An hour
    that an autumn night has twice is taken for its first pass.
    """
    import polars as pl

    epoch = pl.select(integer(pl.lit(times))).to_series()
    # 13 digits and more are milliseconds (or the microseconds of `tim`): not seconds before 5138.
    wall = pl.select(pl.when(epoch < 10**11).then(epoch)).to_series()
    wall = pl.select(pl.coalesce(wall, epoch_seconds(times))).to_series()
    if zone == "UTC":
        return wall
    clock = pl.from_epoch(wall, time_unit="s").dt.replace_time_zone(
        zone, ambiguous="earliest", non_existent="null"
    )
    return clock.dt.epoch("s")


def _score(rows: "pl.DataFrame", name: str) -> "pl.Expr":
    """A Perspective score under its upper- or lower-case name; null outside [0, 1]."""
    import polars as pl

    for column in (name, name.lower()):
        if column in rows.columns:
            value = pl.col(column).cast(pl.Float32, strict=False)
            return pl.when(value.is_between(0, 1)).then(value)
    return pl.lit(None, dtype=pl.Float32)


def _posters(rows: "pl.DataFrame", places: Mapping[str, str]) -> "pl.Series":
    import polars as pl

    parts = [
        pl.col(places[role]).cast(pl.String).fill_null("")
        for role in ("name", "trip", "poster")
        if role in places
    ]
    if not parts:
        return pl.repeat(None, rows.height, dtype=pl.String, eager=True)
    return pseudonyms(rows.select(pl.concat_str(parts, separator="\0")).to_series())
