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


def with_text(table: "pl.DataFrame", declaration: Declaration) -> "pl.DataFrame":
    """Add `text` (null or of white space alone where a post has none) and its thread's `id`."""
    import polars as pl

    has_subject = pl.col("subject").str.contains(r"\S").fill_null(False)
    has_body = pl.col("body").str.contains(r"\S").fill_null(False)
    text = (
        pl.when(has_subject & has_body)
        .then(pl.concat_str("subject", "body", separator="\n"))
        .when(has_subject)
        .then(pl.col("subject"))
        .when(has_body)
        .then(pl.col("body"))
    )
    return table.with_columns(text.alias("text"))


def _posts(table: "pl.DataFrame", declaration: Declaration, tally: Tally) -> "pl.DataFrame":
    import polars as pl

    tally.n_records += table.height
    table = with_text(table, declaration)
    if declaration["quotelinks"] == "drop":
        table = serialise.without_quotelinks(table)
    silent = table.filter(pl.col("text").is_null())
    images = int(silent["image"].sum())
    tally.skip("image-only", images)
    tally.skip("no-text", silent.height - images)
    thread = pl.format("4chan:{}/{}", "board", "thread")
    return table.filter(pl.col("text").is_not_null()).with_columns(
        pl.format("{}/{}", thread, "no").alias("id"),
        thread.alias("group"),
        pl.col("time").alias("timestamp"),
        pl.lit(1).alias("n_posts"),
    )


def _threads(table: "pl.DataFrame", declaration: Declaration, tally: Tally) -> "pl.DataFrame":
    import polars as pl

    table = with_text(table, declaration)
    spoken = pl.col("text").is_not_null()
    facts = table.group_by("record", maintain_order=True).agg(
        pl.first("board", "thread", "offset", "country", "flag"),
        pl.max("time").alias("timestamp"),
        spoken.sum().alias("n_posts"),
        pl.col("image").all().alias("images"),
        *[pl.max(tag(name)) for name in PERSPECTIVES],
        *[pl.mean(tag(name)).alias(f"{tag(name)}.mean") for name in PERSPECTIVES],
    )
    tally.n_records += facts.height
    images = table.select((~spoken & pl.col("image")).sum()).item()
    said = table.filter(spoken)
    tally.posts["read"] += table.height
    tally.posts["image-only"] += images
    tally.posts["no-text"] += table.height - said.height - images
    silent = facts.filter(pl.col("n_posts") == 0)
    tally.skip("image-only", int(silent["images"].sum()))
    tally.skip("no-text", int((~silent["images"]).sum()))
    texts = serialise.texts(said, declaration)
    return (
        facts.filter(pl.col("n_posts") > 0)
        .join(texts, on="record", how="left", maintain_order="left")
        .with_columns(pl.format("4chan:{}/{}", "board", "thread").alias("id"))
    )
