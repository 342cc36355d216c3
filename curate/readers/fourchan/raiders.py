"""
Turn JSON lines of whole threads into tables of posts.

This is the layout of "Raiders of the Lost Kek" (Papasavva et al. 2020, Zenodo 3606810): a line is
the API's answer for a thread, `{"posts": [{"no", "resto", "time", "com", "sub"…}, …]}`, each post
with `perspectives` (scores, kept) and `entities` (passed over). Unknown keys are passed over. The
lines may lie in a TAR.

polars parses a line per post twice as fast as a list of posts per line. Where every line begins
and ends as the dumps write them, the lists are therefore undone in the bytes, and the parser is the
judge of it: a line that is taken apart wrongly leaves unbalanced brackets.
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

TEXTS = ("com", "sub")
IDENTITY = ("name", "trip", "id", "extracted_poster_id")

OPENING = "curate-opening-post"
"""Stands for the key `no` of the first post of a line while lines are undone."""

# (start of a line, between two posts), as json.dumps writes them by default and compactly.
_STYLES = (('{"posts": [{"no":', '}, {"no":'), ('{"posts":[{"no":', '},{"no":'))


def posts(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts of a dump with a thread per line."""
    schema = post_schema(declaration)
    for block in jsonrows.blocks(stream, tally):
        found = _undone(block, schema)
        if found is None:
            found = _listed(block, schema, stream, tally)
        wrong = jsonrows.coerced(found, {name: ["posts", name] for name in TEXTS}, block)
        found = _without(found, wrong, "wrong-type", block, tally)
        yield table(found, declaration)


def post_schema(declaration: Declaration) -> "dict[str, Any]":
    """What is read of a post."""
    import polars as pl

    post: dict[str, Any] = {"no": pl.Int64(), "resto": pl.Int64(), "time": pl.Int64()}
    strings = [*TEXTS, "filename", "country", "board_flag", "troll_country"]
    if declaration["identities"] == "hash":
        strings += IDENTITY
    post |= {name: pl.String() for name in strings}
    post["perspectives"] = pl.Struct({name: pl.Float64() for name in PERSPECTIVES})
    return post


def _undone(block: Block, schema: "dict[str, Any]") -> "pl.DataFrame | None":
    """A row per post, with `offset` and `line` of its line; None unless every line is as usual."""
    import polars as pl

    start, between = next((s for s in _STYLES if block.data.startswith(s[0].encode())), _STYLES[0])
    if not block.data.startswith(start.encode()) or jsonrows.has_lone_surrogate(block.data):
        return None
    data = block.data if block.data.endswith(b"\n") else block.data + b"\n"
    try:
        whole = pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        return None  # not UTF-8
    undone = whole.str.replace_many(
        [start, between, "}]}\n"], [f'{{"{OPENING}":', '}\n{"no":', "}\n"]
    )
    found = jsonrows.parsed(undone.cast(pl.Binary)[0], {OPENING: pl.Int64(), **schema})
    starts, _ = jsonrows.bounds(block.data)
    if found is None:
        return None
    opens = pl.col(OPENING).is_not_null()
    n_lines, usual = found.select(
        opens.sum().alias("n"), (opens ^ pl.col("no").is_not_null()).all() & opens.first()
    ).row(0)
    if n_lines != len(starts) or not usual:
        return None
    of_line = opens.cum_sum() - 1
    places = pl.lit(pl.Series(starts + block.offset, dtype=pl.UInt64))
    return found.select(
        pl.coalesce(OPENING, "no").alias("no"),
        pl.exclude(OPENING, "no"),
        places.gather(of_line).alias("offset"),
        (of_line + block.line).cast(pl.UInt64).alias("line"),
    )


def _listed(
    block: Block, schema: "dict[str, Any]", stream: Stream, tally: Tally
) -> "pl.DataFrame":
    """The same of any lines; those without posts are skipped or rejected, and counted."""
    import polars as pl

    whole = {"posts": pl.List(pl.Struct(schema))}
    lines = jsonrows.rows_of(block, whole, stream, tally)
    lines = jsonrows.reject(lines, lines["posts"].is_null(), "no-posts-key", block, tally)
    empty = lines["posts"].list.len() == 0
    tally.n_records += int(empty.sum())
    tally.skip("no-posts", int(empty.sum()))
    lines = lines.filter(~empty)
    found = lines.explode("posts").unnest("posts")
    wrong = found.filter(pl.col("no").is_null())["offset"].unique()
    return _without(found, wrong, "no-post-number", block, tally)


def _without(
    found: "pl.DataFrame", wrong: "pl.Series", reason: str, block: Block, tally: Tally
) -> "pl.DataFrame":
    """The posts of all lines but those at the offsets `wrong`, which are rejected."""
    if not len(wrong):
        return found
    bad = found["offset"].is_in(wrong.implode())
    lines = found.select("offset", "line").filter(bad).unique(maintain_order=True)
    jsonrows.reject(lines, lines["offset"].is_not_null(), reason, block, tally)
    return found.filter(~bad)


def table(found: "pl.DataFrame", declaration: Declaration) -> "pl.DataFrame":
    """Posts as parsed (columns of `post_schema`, `offset`) as a table of posts."""
    import polars as pl

    opening = pl.when(pl.col("resto") > 0).then(pl.col("resto")).otherwise(pl.col("no"))
    scores = pl.col("perspectives").struct
    result = found.select(
        pl.col("offset").alias("record"),
        "offset",
        pl.lit(declaration["board"]).alias("board"),
        opening.first().over("offset").alias("thread"),
        "no",
        "time",
        markup.to_text(found["sub"]).alias("subject"),
        markup.to_text(found["com"]).alias("body"),
        pl.col("filename").is_not_null().alias("image"),
        "country",
        pl.coalesce("board_flag", "troll_country").alias("flag"),
        *[scores.field(name).cast(pl.Float32).alias(tag(name)) for name in PERSPECTIVES],
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
