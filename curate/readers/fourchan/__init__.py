"""
Turn dumps of 4chan, in whatever form they come, into documents: threads or single posts.

Every form is first brought to one table of posts (`posts.schema`), then tables of posts become
documents (`threads`). With `document = "thread"` a record is a thread, and its posts are counted
apart, in `posts` of the receipt: `read` of them, of which `image-only`, `no-text`, `superseded`.
With `document = "post"` a record is a post. A line or row that cannot be read, a ghost post and an
entry without text are a record either way.

    >>> form(b'{"posts": [{"no": 5, "com": "a"}]}\\n'), form(b'"1","0","1","1","13","0",')
    ('threads', 'asagi')
    >>> form(b"no,resto,com\\n5,0,a\\n"), form(b"PAR1\\x15\\x04")
    ('csv', 'parquet')
"""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import orjson

from curate.errors import InputError
from curate.readers import tar
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.fourchan import group, posts, raiders, rendered, tables, threads
from curate.readers.jsonrows import BYTE_ORDER_MARK

if TYPE_CHECKING:
    import polars as pl

_READERS = {
    "threads": raiders.posts,
    "asagi": tables.asagi,
    "csv": tables.csv,
    "parquet": tables.parquet,
    "rendered": rendered.posts,
}

IN_ROWS = ("asagi", "csv", "parquet")
"""Forms in which the posts of a thread need not lie together."""

LOOKED_AT = 1 << 16
"""Bytes from which the form is told."""


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """Country, flag and Perspective scores, where a dump has them."""
    return posts.columns(declaration)


def read(
    streams: Sequence[Stream], declaration: Declaration, tally: Tally
) -> "Iterator[pl.DataFrame]":
    """Documents of one dump, or of several whose threads are to be joined."""
    made = functools.partial(threads.documents, declaration=declaration, tally=tally)
    # `map` lets go of a table before the next is read, as a loop would not.
    return map(made, _tables(streams, declaration, tally))


def _tables(
    streams: Sequence[Stream], declaration: Declaration, tally: Tally
) -> "Iterator[pl.DataFrame]":
    """Tables of posts in which every thread is as whole as it was asked to be."""
    if declaration["join"]:
        every = (
            _of_one(stream, _form(stream, declaration), declaration, tally) for stream in streams
        )
        return group.threads(itertools.chain.from_iterable(every), tally)
    (stream,) = streams
    chosen = _form(stream, declaration)
    found = _of_one(stream, chosen, declaration, tally)
    in_pieces = declaration["document"] == "thread" and chosen in IN_ROWS
    return group.threads(found, tally) if in_pieces else found


def _form(stream: Stream, declaration: Declaration) -> str:
    if declaration["dump"] != "auto":
        return str(declaration["dump"])
    return "threads" if tar.is_tar(stream) else form(stream.peek(LOOKED_AT), stream.name)


def _of_one(
    stream: Stream, chosen: str, declaration: Declaration, tally: Tally
) -> "Iterator[pl.DataFrame]":
    """Tables of posts of one file, each post with the file's name."""
    import polars as pl

    tally.input = stream.sha256[:16]
    columns_ = [*posts.schema(declaration), pl.lit(tally.input).alias("input")]

    def named(table: "pl.DataFrame") -> "pl.DataFrame":
        return table.select(columns_)

    yield from map(named, _READERS[chosen](stream, declaration, tally))


def form(head: bytes, name: str = "the file") -> str:
    """Form of a dump that begins so; InputError if it is no dump."""
    head = head.removeprefix(BYTE_ORDER_MARK)
    start = head.lstrip()[:1]
    if head.startswith(b"PAR1"):
        return "parquet"
    if start in (b"{", b"["):
        return "rendered" if _is_rendered(head.lstrip().split(b"\n", 1)[0]) else "threads"
    if start == b"<":
        raise InputError(
            f"{name} is a web page, not a dump",
            hint="4chan answers so for threads that are gone; leave the file out.",
        )
    first = head.split(b"\n", 1)[0]
    if re.match(rb'"\d+","\d+","\d+","[01]",', first) or b"thread_num" in first:
        return "asagi"
    return "csv" if b"," in first or not head else "threads"


def _is_rendered(line: bytes) -> bool:
    """Whether a JSON line has a text and no posts; the line may be cut off."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return (
            b'"posts"' not in line
            and re.search(rb'"text": ?"[^"]{0,200}no\.\d+:', line) is not None
        )
    return isinstance(record, dict) and "posts" not in record and "text" in record
