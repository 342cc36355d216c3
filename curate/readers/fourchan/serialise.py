"""
Turn the posts of a thread into one text, from which they can be told apart again.

    >>> import polars as pl
    >>> said = ["hi", ">>70\\nhello\\n--- 3"]
    >>> posts = pl.DataFrame({"record": [0, 0], "no": [70, 75], "text": said})
    >>> declaration = {"serialisation": "local-ids", "quotelinks": "keep", "dangling": "mark"}
    >>> text = texts(posts, declaration)["text"][0]
    >>> print(text)
    --- 1
    hi
    --- 2
    >>1
    hello
    \\--- 3
    >>> parse(text, "local-ids")
    [('1', 'hi'), ('2', '>>1\\nhello\\n--- 3')]

    plain      posts with two empty lines between them; a run of empty lines inside a post is broken
               up by a line of one space
    local-ids  each post under a line `--- k`, k = 1, 2, …; `>>70` becomes `>>k`
    gpt-4chan  each post under a line `--- <post number>`, a last line `-----`
    chat       each post under a line `--- user` (the opening post) or `--- assistant` (a reply)

A line inside a post that looks like such a header gets a backslash before it; `parse` takes it off.
"""

import re
from typing import TYPE_CHECKING

from curate.readers.base import Declaration

if TYPE_CHECKING:
    import polars as pl

BETWEEN = "\n\n\n"
"""What stands between two posts in `plain`."""

HEADER = r"(?:--- [0-9a-z]+|-----)"
LAST = "-----"

_HEADER_LINE = rf"(?m)^(\\*{HEADER})$"
_SPACES = r"(?m)^( +)$"
_QUOTELINK = r"(^|[^>])>>(\d+)"
# Stands on both sides of a reference while texts are taken apart; what is typed is set aside.
_MARK = "\x1f"
_TYPED = ["\x1e", _MARK]
_SET_ASIDE = ["\x1e0", "\x1e1"]


def texts(said: "pl.DataFrame", declaration: Declaration) -> "pl.DataFrame":
    """
    One text per `record` (columns `record`, `text`) of posts with text, in the order of the table.

    `said` has `record`, `no` and `text`; no text is null, begins or ends with a newline.
    """
    import polars as pl

    kind = declaration["serialisation"]
    if kind == "plain":
        escaped = said.select("record", escape_plain(said["text"]))
        return _joined(escaped, BETWEEN)
    if kind == "local-ids":
        said = local(said, declaration["dangling"])
    position = pl.int_range(1, pl.len() + 1).over("record")
    label = {
        "local-ids": position.cast(pl.String),
        "gpt-4chan": pl.col("no").cast(pl.String),
        "chat": pl.when(position == 1).then(pl.lit("user")).otherwise(pl.lit("assistant")),
    }[kind]
    escaped = said.with_columns(escape(said["text"]))
    labelled = escaped.select("record", pl.format("--- {}\n{}", label, "text").alias("text"))
    joined = _joined(labelled, "\n")
    return joined.with_columns(pl.col("text") + f"\n{LAST}") if kind == "gpt-4chan" else joined


def _joined(posts: "pl.DataFrame", between: str) -> "pl.DataFrame":
    import polars as pl

    return posts.group_by("record", maintain_order=True).agg(pl.col("text").str.join(between))


def parse(text: str, kind: str) -> list[tuple[str, str]]:
    """(label, text) of each post of a serialised thread; labels are "" in `plain`."""
    if kind == "plain":
        return [("", _unescape_plain(post)) for post in text.split(BETWEEN)]
    if kind == "gpt-4chan":
        text = text.removesuffix(f"\n{LAST}")
    pieces = re.split(r"^--- ([0-9a-z]+)\n", text, flags=re.MULTILINE)[1:]
    found = []
    for label, body in zip(pieces[::2], pieces[1::2], strict=True):
        found.append((label, re.sub(rf"(?m)^\\(\\*{HEADER})$", r"\1", body.removesuffix("\n"))))
    return found


def escape(text: "pl.Series") -> "pl.Series":
    """A backslash before each line that is a header, or would be one without its backslashes."""
    places = text.str.contains_any(["---"]).arg_true()
    if not len(places):
        return text
    return text.scatter(places, text.gather(places).str.replace_all(_HEADER_LINE, r"\$1"))


def escape_plain(text: "pl.Series") -> "pl.Series":
    """No two empty lines in a row; a line of n spaces becomes one of n + 1, to be undone."""
    import polars as pl

    words = pl.col(text.name).str
    # A line of spaces is the first, or it follows a line end; few posts have either.
    near = words.contains("\n ", literal=True) | words.starts_with(" ")
    near |= words.contains(BETWEEN, literal=True)
    places = text.to_frame().select(near.arg_true()).to_series()
    if not len(places):
        return text
    escaped = (
        text.gather(places)
        .str.replace_all(_SPACES, "$1 ")
        .str.replace_all(BETWEEN, "\n\n \n", literal=True)
        .str.replace_all(BETWEEN, "\n\n \n", literal=True)
    )
    return text.scatter(places, escaped)


def _unescape_plain(text: str) -> str:
    return re.sub(r"(?m)^ ( *)$", r"\1", text)


def without_quotelinks(said: "pl.DataFrame") -> "pl.DataFrame":
    """Posts without their `>>123` and the lines that held nothing else; some lose all text."""
    import polars as pl

    text = (
        pl.col("text")
        .str.replace_all(r"(?m)^(?:>>\d+[ \t]*)+(?:\n|$)", "")
        .str.replace_all(_QUOTELINK, "$1")
        .str.replace_all(_QUOTELINK, "$1")  # of ">>7>>8", the first took the 7 before the second
        .str.strip_chars("\n")
    )
    return said.with_columns(pl.when(text.str.contains(r"\S")).then(text).alias("text"))


def local(said: "pl.DataFrame", dangling: str) -> "pl.DataFrame":
    """Posts whose `>>123` name the position (from 1) of post 123 in its thread."""
    import polars as pl

    said = said.with_columns(pl.int_range(1, pl.len() + 1).over("record").alias("position"))
    places = said.select("record", pl.col("no").alias("quoted"), "position").unique(
        ["record", "quoted"], keep="first", maintain_order=True
    )
    quoting = said.with_row_index("row").filter(pl.col("text").str.contains(_QUOTELINK))
    marked = (
        pl.col("text")
        .str.replace_many(_TYPED, _SET_ASIDE)
        .str.replace_all(_QUOTELINK, f"$1{_MARK}$2{_MARK}")
        # Two references with one character between them: the first match took that character.
        .str.replace_all(_QUOTELINK, f"$1{_MARK}$2{_MARK}")
    )
    pieces = (
        quoting.select("row", "record", marked.str.split(_MARK))
        .explode("text")
        .with_columns(pl.int_range(pl.len()).over("row").alias("k"))
    )
    number = pl.when(pl.col("k") % 2 == 1).then(pl.col("text").cast(pl.Int64, strict=False))
    gone = {"keep": pl.format(">>{}", "text"), "mark": pl.lit(">>?"), "drop": pl.lit("")}
    pieces = pieces.with_columns(number.alias("quoted")).join(
        places, on=["record", "quoted"], how="left", maintain_order="left"
    )
    text = (
        pl.when(pl.col("k") % 2 == 0)
        .then(pl.col("text").str.replace_many(_SET_ASIDE, _TYPED))
        .when(pl.col("position").is_not_null())
        .then(pl.format(">>{}", "position"))
        .otherwise(gone[dangling])
    )
    joined = (
        pieces.select("row", text.alias("text"))
        .group_by("row", maintain_order=True)
        .agg(pl.col("text").str.join(""))
    )
    return said.with_columns(said["text"].scatter(joined["row"], joined["text"])).drop("position")
