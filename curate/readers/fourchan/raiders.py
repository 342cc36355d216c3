"""
Turn JSON lines of whole threads into tables of posts.

This is the layout of "Raiders of the Lost Kek" (Papasavva et al. 2020, Zenodo 3606810): a line is
the API's answer for a thread, `{"posts": [{"no", "resto", "time", "com", "sub"…}, …]}`, each post
with `perspectives` (scores, kept) and `entities` (passed over). Unknown keys are passed over. The
lines may lie in a TAR.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from curate.readers import jsonrows
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.fourchan import markup
from curate.readers.fourchan.posts import PERSPECTIVES, pseudonyms, tag
from curate.readers.lines import Block

if TYPE_CHECKING:
    import polars as pl

TEXTS = ["posts.com", "posts.sub"]
IDENTITY = ("name", "trip", "id", "extracted_poster_id")


def posts(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts of a dump with a thread per line."""
    schema = line_schema(declaration)
    for block in jsonrows.blocks(stream, tally):
        lines = jsonrows.rows_of(block, schema, TEXTS, stream, tally)
        yield table(lines, block, declaration, tally)


def line_schema(declaration: Declaration) -> "dict[str, Any]":
    """What is read of a line."""
    import polars as pl

    post: dict[str, Any] = {
        "no": pl.Int64(),
        "resto": pl.Int64(),
        "time": pl.Int64(),
        "com": pl.String(),
        "sub": pl.String(),
        "ext": pl.String(),
        "country": pl.String(),
        "board_flag": pl.String(),
        "troll_country": pl.String(),
        "perspectives": pl.Struct({name: pl.Float64() for name in PERSPECTIVES}),
    }
    if declaration["identities"] == "hash":
        post |= {name: pl.String() for name in IDENTITY}
    return {"posts": pl.List(pl.Struct(post))}


def table(
    lines: "pl.DataFrame", block: Block, declaration: Declaration, tally: Tally
) -> "pl.DataFrame":
    """The posts of parsed lines; lines without posts are skipped or rejected, and counted."""
    import polars as pl

    lines = jsonrows.reject(lines, lines["posts"].is_null(), "no-posts-key", block, tally)
    empty = lines["posts"].list.len() == 0
    tally.n_records += int(empty.sum())
    tally.skip("no-posts", int(empty.sum()))
    lines = lines.filter(~empty)
    found = lines.explode("posts").unnest("posts")
    unnumbered = found.filter(pl.col("no").is_null())["offset"]
    if len(unnumbered):
        mask = lines["offset"].is_in(unnumbered.unique().implode())
        jsonrows.reject(lines, mask, "no-post-number", block, tally)
        found = found.filter(~pl.col("offset").is_in(unnumbered.unique().implode()))
    opening = pl.when(pl.col("resto") > 0).then(pl.col("resto")).otherwise(pl.col("no"))
    scores = found["perspectives"]
    result = found.select(
        pl.col("offset").alias("record"),
        "offset",
        pl.lit(declaration["board"]).alias("board"),
        opening.first().over("offset").alias("thread"),
        "no",
        "time",
        markup.to_text(found["sub"]).alias("subject"),
        markup.to_text(found["com"]).alias("body"),
        pl.col("ext").is_not_null().alias("image"),
        "country",
        pl.coalesce("board_flag", "troll_country").alias("flag"),
        *[
            scores.struct.field(name).cast(pl.Float32).alias(tag(name)) for name in PERSPECTIVES
        ],
    )
    if declaration["identities"] == "hash":
        result = result.with_columns(poster=pseudonyms(identity(found)))
    return result


def identity(found: "pl.DataFrame") -> "pl.Series":
    """Name, tripcode and poster id of each post as one String, null if it has none of them."""
    import polars as pl

    parts = [pl.col(name) for name in IDENTITY if name in found.columns]
    named = found.select(
        pl.when(pl.any_horizontal(p.is_not_null() for p in parts)).then(
            pl.concat_str([p.fill_null("") for p in parts], separator="\0")
        )
    )
    return named.to_series()
