"""
Turn a table of posts into documents, one per thread or one per post.

A post's text is its subject, a newline and its body. Posts without text are counted, not kept:
with `document = "thread"` in `posts` of the receipt, with `document = "post"` as skipped records.
"""

from typing import TYPE_CHECKING

from curate.readers.base import Declaration, Tally
from curate.readers.fourchan import serialise
from curate.readers.fourchan.posts import PERSPECTIVES, tag

if TYPE_CHECKING:
    import polars as pl


def documents(table: "pl.DataFrame", declaration: Declaration, tally: Tally) -> "pl.DataFrame":
    """Documents of a table of posts, as `curate.readers.base.Reader.read` gives them."""
    if declaration["document"] == "post":
        return _posts(table, declaration, tally)
    return _threads(table, declaration, tally)


def with_text(table: "pl.DataFrame") -> "pl.DataFrame":
    """Add `text`: the subject, a newline and the body; null where both are empty or white space."""
    import polars as pl

    said = [
        pl.when(pl.col(name).str.strip_chars_start().str.len_bytes() > 0).then(name)
        for name in ("subject", "body")
    ]
    text = pl.concat_str(said, separator="\n", ignore_nulls=True)
    table = table.with_columns(text.alias("text"))
    return table.with_columns(pl.when(pl.col("text") != "").then("text").alias("text"))


def _posts(table: "pl.DataFrame", declaration: Declaration, tally: Tally) -> "pl.DataFrame":
    import polars as pl

    table = with_text(table)
    if declaration["quotelinks"] == "drop":
        table = serialise.without_quotelinks(table)
    said = table.filter(pl.col("text").is_not_null())
    n_images = _silent_images(table)
    tally.n_records += table.height
    tally.skip("image-only", n_images)
    tally.skip("no-text", table.height - said.height - n_images)
    thread = pl.format("4chan:{}/{}", "board", "thread")
    return said.with_columns(
        pl.format("{}/{}", thread, "no").alias("id"),
        thread.alias("group"),
        pl.col("time").alias("timestamp"),
        pl.lit(1).alias("n_posts"),
    )


def _threads(table: "pl.DataFrame", declaration: Declaration, tally: Tally) -> "pl.DataFrame":
    import polars as pl

    table = with_text(table)
    if declaration["quotelinks"] == "drop":
        table = serialise.without_quotelinks(table)
    scores = [tag(name) for name in PERSPECTIVES if table[tag(name)].null_count() < table.height]
    threads = table.group_by("record", maintain_order=True).agg(
        pl.first("input", "board", "thread", "offset", "country", "flag"),
        pl.max("time").alias("timestamp"),
        pl.count("text").alias("n_posts"),
        pl.col("image").all().alias("images"),
        *[pl.max(name) for name in scores],
        *[pl.mean(name).alias(f"{name}.mean") for name in scores],
    )
    said = table.filter(pl.col("text").is_not_null())
    n_images = _silent_images(table)
    tally.posts["read"] += table.height
    tally.posts["image-only"] += n_images
    tally.posts["no-text"] += table.height - said.height - n_images
    tally.n_records += threads.height
    spoken = threads.filter(pl.col("n_posts") > 0)
    if spoken.height < threads.height:
        silent = threads.filter(pl.col("n_posts") == 0)["images"]
        tally.skip("image-only", int(silent.sum()))
        tally.skip("no-text", int((~silent).sum()))
    texts = serialise.texts(said, declaration)
    return spoken.with_columns(
        texts["text"], pl.format("4chan:{}/{}", "board", "thread").alias("id")
    )


def _silent_images(table: "pl.DataFrame") -> int:
    """Posts that are a file without words."""
    import polars as pl

    return int(table.select((pl.col("text").is_null() & pl.col("image")).sum()).item())
