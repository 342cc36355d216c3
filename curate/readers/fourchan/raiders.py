"""
Turn JSON lines of whole threads into tables of posts.

This is the layout of "Raiders of the Lost Kek" (Papasavva et al. 2020, Zenodo 3606810): a line is
the API's answer for a thread, `{"posts": [{"no", "resto", "time", "com", "sub"…}, …]}`, each post
with `perspectives` (scores, kept) and `entities` (passed over). Unknown keys are passed over. The
lines may lie in a TAR.

polars parses a line per post twice as fast as a list of posts per line. Where every line begins
and ends as the dumps write them, the lists are therefore undone in the bytes: two brackets go at
either end of a line, none between. The parser is the judge of it, since a line that was taken apart
anywhere but between its posts leaves brackets that do not match.
"""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.readers import jsonrows
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.fourchan import api, markup
from curate.readers.fourchan.posts import PERSPECTIVES, pseudonyms, tag
from curate.readers.lines import Block

if TYPE_CHECKING:
    import polars as pl

TEXTS = ("com", "sub")
IDENTITY = ("name", "trip", "id", "extracted_poster_id")

MAX_OBJECTS = 100_000
"""Most objects of lines that are parsed at once as lists: polars takes 3 kB for each."""

OPENING = "curate-opening-post"
"""Stands for the key `no` of the first post of a line while lines are undone."""

# (start of a line, between two posts), as json.dumps writes them by default and compactly.
_STYLES = ((b'{"posts": [{"no":', b'}, {"no":'), (b'{"posts":[{"no":', b'},{"no":'))


def posts(stream: Stream, declaration: Declaration, tally: Tally) -> "Iterator[pl.DataFrame]":
    """Tables of posts of a dump with a thread per line."""
    schema = post_schema(declaration)
    made = functools.partial(
        _of_block, schema=schema, stream=stream, declaration=declaration, tally=tally
    )
    # `map` lets go of a block before the next is read, as a loop would not.
    return map(made, api.unfolded(jsonrows.blocks(stream, tally)))


def _of_block(
    block: Block, schema: "dict[str, Any]", stream: Stream, declaration: Declaration, tally: Tally
) -> "pl.DataFrame":
    lines = jsonrows.Lines.of(block)
    found = _undone(lines, schema)
    if found is None:
        lines = api.threads(lines, tally)
        found = _listed(lines, schema, stream, tally)
    wrong = jsonrows.coerced(found, {name: ["posts", name] for name in TEXTS}, lines)
    return table(_without(found, wrong, "wrong-type", lines, tally), lines, declaration)


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


def _undone(lines: jsonrows.Lines, schema: "dict[str, Any]") -> "pl.DataFrame | None":
    """A row per post, with the `row` of its line; None unless every line is as usual."""
    import polars as pl

    style = next((s for s in _STYLES if _is_in(s, lines)), None)
    if style is None:
        return None
    found = jsonrows.parsed(_post_per_line(lines, *style), {OPENING: pl.Int64(), **schema})
    if found is None or (
        jsonrows.has_nul(found, TEXTS) and jsonrows.has_lone_surrogate(lines.data)
    ):
        return None
    opens = pl.col(OPENING).is_not_null()
    n_lines, usual = found.select(
        opens.sum().alias("n"), (opens ^ pl.col("no").is_not_null()).all() & opens.first()
    ).row(0)
    if n_lines != len(lines) or not usual:
        return None
    return found.select(
        pl.coalesce(OPENING, "no").alias("no"),
        pl.exclude(OPENING, "no"),
        (opens.cum_sum() - 1).cast(pl.UInt32).alias("row"),
    )


def _post_per_line(lines: jsonrows.Lines, start: bytes, between: bytes) -> bytes:
    """Lines of this style with their outer brackets gone and a line end between their posts."""
    # A comma becomes a line end, so that all stays in its place (and is copied but once).
    data = memoryview(lines.data.replace(between, between.replace(b",", b"\n")))
    n_start, n_end = len(start), len(b"]}")
    pieces: list[bytes | memoryview] = []
    for first, end in zip(lines.starts.tolist(), lines.ends.tolist(), strict=True):
        pieces += (f'{{"{OPENING}":'.encode(), data[first + n_start : end - n_end], b"\n")
    return b"".join(pieces)


def _is_in(style: tuple[bytes, bytes], lines: jsonrows.Lines) -> bool:
    """Whether every line begins and ends as lines of this style do."""
    start = style[0]
    return all(
        lines.data.startswith(start, first) and lines.data.endswith(b"}]}", first, end)
        for first, end in zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)
    )


def _listed(
    lines: jsonrows.Lines, schema: "dict[str, Any]", stream: Stream, tally: Tally
) -> "pl.DataFrame":
    """The same of any lines; those without posts are skipped or rejected, and counted."""
    import polars as pl

    found = []
    for first, after in _few_objects(lines):
        part = lines.part(first, after)
        if after - first == 1 and jsonrows.has_more_values(part.data, MAX_OBJECTS, b"{"):
            jsonrows.reject(part, [0], "too-many-values", tally)
        else:
            made = _exploded(part, schema, stream, tally)
            found.append(made.with_columns(pl.col("row") + pl.lit(first, pl.UInt32)))
    kinds = {**schema, "row": pl.UInt32()}
    return pl.concat(found) if found else pl.DataFrame(schema=kinds)


def _few_objects(lines: jsonrows.Lines) -> Iterator[tuple[int, int]]:
    """Ranges of lines with at most MAX_OBJECTS objects each, or one line."""
    objects = np.flatnonzero(np.frombuffer(lines.data, dtype=np.uint8) == ord("{"))
    before = np.searchsorted(objects, np.append(lines.starts, len(lines.data)))
    first = 0
    while first < len(lines):
        fit = int(np.searchsorted(before, before[first] + MAX_OBJECTS, side="right")) - 1
        after = max(first + 1, fit)
        yield first, after
        first = after


def _exploded(
    lines: jsonrows.Lines, schema: "dict[str, Any]", stream: Stream, tally: Tally
) -> "pl.DataFrame":
    import polars as pl

    threads = jsonrows.rows_of(lines, {"posts": pl.List(pl.Struct(schema))}, stream, tally)
    absent = threads.filter(pl.col("posts").is_null())["row"].to_list()
    jsonrows.reject(lines, absent, "no-posts-key", tally)
    n_empty = threads.filter(pl.col("posts").list.len() == 0).height
    tally.n_records += n_empty
    tally.skip("no-posts", n_empty)
    threads = threads.filter(pl.col("posts").list.len() > 0)
    found = threads.explode("posts").unnest("posts")
    unnumbered = found.filter(pl.col("no").is_null())["row"].unique(maintain_order=True)
    return _without(found, unnumbered.to_list(), "no-post-number", lines, tally)


def _without(
    found: "pl.DataFrame", wrong: list[int], reason: str, lines: jsonrows.Lines, tally: Tally
) -> "pl.DataFrame":
    """The posts of all lines but `wrong`, which are rejected."""
    import polars as pl

    if not wrong:
        return found
    jsonrows.reject(lines, wrong, reason, tally)
    return found.filter(~pl.col("row").is_in(wrong))


def table(found: "pl.DataFrame", lines: jsonrows.Lines, declaration: Declaration) -> "pl.DataFrame":
    """Posts as parsed (columns of `post_schema`, `row` of their line) as a table of posts."""
    import polars as pl

    places = pl.lit(pl.Series(lines.offsets, dtype=pl.UInt64))
    opening = pl.when(pl.col("resto") > 0).then(pl.col("resto")).otherwise(pl.col("no"))
    scores = pl.col("perspectives").struct
    result = found.select(
        pl.col("row").alias("record"),
        places.gather("row").alias("offset"),
        pl.lit(declaration["board"]).alias("board"),
        opening.first().over("row").alias("thread"),
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
