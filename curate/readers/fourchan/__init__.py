"""
Turn dumps of 4chan, in whatever form they come, into documents: threads or single posts.

Every form is first brought to one table of posts (`posts.SCHEMA`), then a table of posts becomes
documents (`threads`). With `document = "thread"` a record is a thread (a line of a dump); posts
within it are counted apart, in `posts` of the receipt. With `document = "post"` a record is a post.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.fourchan import posts, raiders, threads

if TYPE_CHECKING:
    import polars as pl


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """Country, flag and Perspective scores, where a dump has them."""
    return posts.columns(declaration)


def read(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Documents of one dump."""
    for table in raiders.posts(stream, declaration, tally):
        yield threads.documents(table, declaration, tally)
