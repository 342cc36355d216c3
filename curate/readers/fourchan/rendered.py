"""
Turn threads that were rendered as text back into tables of posts.

    >>> first = "Anonymous 04/26/19(Fri)22:36:49 no.70: hi"
    >>> parse(first + "\\n\\n\\nBob 04/26/19(Fri)22:40:34 no.75: >>70\\nyes")
    [(70, 1556332609, 'hi'), (75, 1556332834, '>>70\\nyes')]

This is the layout of the 4chan subset of Paloma and OLMo: JSON lines with a `text` that holds a
thread, each post `NAME MM/DD/YY(Day)HH:MM:SS no.N: BODY`, two empty lines between posts. The clock
is New York's. A thread is known by its first post.
"""

import datetime
import re
import zoneinfo
from collections.abc import Iterator
from typing import TYPE_CHECKING

from curate.readers import jsonrows
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.fourchan.posts import schema

if TYPE_CHECKING:
    import polars as pl

_HEADER = re.compile(
    r"(?:^|\n)[^\n]{0,200}?(\d\d)/(\d\d)/(\d\d)\([A-Z][a-z]{2}\)"
    r"(\d\d):(\d\d)(?::(\d\d))? no\.(\d+): ?"
)
_NEW_YORK = zoneinfo.ZoneInfo("America/New_York")


def posts(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts of JSON lines with a rendered thread each."""
    import polars as pl

    for block in jsonrows.blocks(stream, tally):
        lines = jsonrows.Lines.of(block)
        texts = jsonrows.rows_of(lines, {"text": pl.String()}, stream, tally)
        found: list[tuple[int, int, int, int, int, str]] = []
        for row, text in texts.select("row", "text").iter_rows():
            thread = parse(text or "")
            if not thread:
                jsonrows.reject(lines, [row], "not-a-rendered-thread", tally)
            for number, time, body in thread:
                found.append((row, lines.offset(row), thread[0][0], number, time, body))
        kinds = schema(declaration)
        names = ["record", "offset", "thread", "no", "time", "body"]
        read = pl.DataFrame(found, schema={n: kinds[n] for n in names}, orient="row")
        yield read.select(
            (
                pl.col(name)
                if name in names
                else pl.lit({"board": declaration["board"], "image": False}.get(name), dtype=kind)
            ).alias(name)
            for name, kind in kinds.items()
        )


def parse(text: str) -> list[tuple[int, int, str]]:
    """(number, UTC seconds, body) of each post of a rendered thread; none if it is not one."""
    headers = list(_HEADER.finditer(text))
    if not headers or headers[0].start() != 0:
        return []
    ends = [header.start() for header in headers[1:]] + [len(text)]
    found = []
    for header, end in zip(headers, ends, strict=True):
        month, day, year, hour, minute, second, number = header.groups()
        try:
            clock = datetime.datetime(
                2000 + int(year),
                int(month),
                int(day),
                int(hour),
                int(minute),
                int(second or 0),
                tzinfo=_NEW_YORK,
            )
        except ValueError:
            return []
        found.append((int(number), int(clock.timestamp()), text[header.end() : end].strip("\n")))
    return found
