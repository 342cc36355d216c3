"""
Turn rows of text, URL and time into documents of the web.

    >>> import polars as pl, pathlib, tempfile
    >>> rows = pl.DataFrame({
    ...     "text": ["Hello.", "", "Bye."], "offset": [0, 9, 12],
    ...     "url": ["https://a.example/", None, None],
    ...     "time": ["2019-04-21T18:54:04Z", None, "soon"]})
    >>> with Tally("0" * 16, pathlib.Path(tempfile.mkdtemp()) / "rejected") as tally:
    ...     made = documents(rows, tally)
    >>> made["id"].to_list()[0], made["timestamp"].to_list()
    ('https://a.example/#2d8bd7d9bb5f85ba', [1555872844, None])
    >>> tally.skipped, tally.notes
    (Counter({'no-text': 1}), Counter({'timestamps-unreadable': 1}))

The id is `<url>#<first 16 hex of sha256 of the text>`, or `sha256:…` where no URL is known.
"""

import hashlib
from typing import TYPE_CHECKING

from curate.readers.base import Tally

if TYPE_CHECKING:
    import polars as pl

TIME_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%:z",
    "%Y-%m-%dT%H:%M:%S%.f",
)
"""
ISO 8601 as found in dumps; times without a zone are UTC.

No text is another time in another of them, so that what the first of a column fits comes first.
"""


def documents(rows: "pl.DataFrame", tally: Tally) -> "pl.DataFrame":
    """
    Documents of rows with `text` and `offset`, and maybe `url`, `time`, `license`, `language`.

    Rows without text are skipped; every row is counted. Other columns are kept as they are.
    """
    import polars as pl

    tally.n_records += rows.height
    silent = rows["text"].str.len_bytes() == 0
    n_silent = int(silent.sum())
    if n_silent:
        tally.skip("no-text", n_silent)
        rows = rows.filter(~silent)
    nothing = pl.repeat(None, rows.height, dtype=pl.String, eager=True)
    urls = rows["url"] if "url" in rows.columns else nothing
    times = rows["time"] if "time" in rows.columns else nothing
    timestamp = epoch_seconds(times)
    tally.notes["timestamps-unreadable"] += timestamp.null_count() - times.null_count()
    texts = rows["text"].cast(pl.Binary).to_list()
    digests = pl.Series([hashlib.sha256(text).digest() for text in texts], dtype=pl.Binary)
    hexadecimal = digests.bin.encode("hex")
    ids = pl.when(urls.is_null()).then(pl.format("sha256:{}", hexadecimal))
    return rows.with_columns(
        ids.otherwise(pl.format("{}#{}", urls, hexadecimal.str.head(16))).alias("id"),
        urls.alias("url"),
        urls.alias("group"),
        digests.bin.head(16).alias("content"),
        timestamp.alias("timestamp"),
        pl.lit(1).alias("n_posts"),
    )


def epoch_seconds(times: "pl.Series") -> "pl.Series":
    """UTC seconds (Int64) of a String column of ISO 8601 times; null where unreadable."""
    import polars as pl

    def read(some: "pl.Series", pattern: str) -> "pl.Series":
        zone = "UTC" if pattern.lower().endswith("z") else None
        found = some.str.to_datetime(pattern, time_unit="us", strict=False, time_zone=zone)
        return found.dt.epoch("s")

    first = times.drop_nulls().head(1)
    fitting = (pattern for pattern in TIME_FORMATS if not read(first, pattern).null_count())
    likely = next(fitting, TIME_FORMATS[0])
    result = pl.repeat(None, len(times), dtype=pl.Int64, eager=True)
    for pattern in (likely, *TIME_FORMATS):
        if result.null_count() == times.null_count():
            break
        result = pl.select(pl.coalesce(result, read(times, pattern))).to_series()
    return result
