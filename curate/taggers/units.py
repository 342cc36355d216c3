r"""
Turn a column of documents into posts or sentences and their scores back into one row each.

Pieces put one after the other are the document, byte for byte:

    >>> import polars as pl
    >>> made = pieces(pl.DataFrame({"text": ["One. Two!\nThree", "Four"]}), "sentence")
    >>> made["row"].to_list(), made["text"].to_list()
    ([0, 0, 0, 1], ['One. ', 'Two!\n', 'Three', 'Four'])
    >>> import numpy as np
    >>> means = summed(np.array([0.25, 0.5, 0.75, 1], np.float32), made["row"], 2, over=0.5)
    >>> {head: column.tolist() for head, column in means.items()}
    {'': [0.5, 1.0], 'max': [0.75, 1.0], 'share': [0.6666666865348816, 1.0]}
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from curate.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

SENTENCE = r"""(?s).+?(?:[.!?…]+["'”’)\]]*\s+|\n\s*|\z)"""
"""A sentence ends after its stop, quotes and space, or at a line break; the space is its own."""

BLOCK = r"(?s).+?(?:\n\n+|\z)"
"""A post where the reader did not say where posts end: text up to a blank line."""

POST_ENDS = "post_ends"
"""Column of a documents table: where each post ends in the text, in bytes; List(UInt32)."""


def pieces(table: "pl.DataFrame", granularity: str) -> "pl.DataFrame":
    """
    `row` UInt32 and `text` String of every post or sentence of `table` (n rows with `text`).

    Posts end where the column `post_ends` says, else at blank lines. Every row gives at least one
    piece and none is empty.
    """
    import polars as pl

    if granularity == "post" and POST_ENDS in table.columns:
        return _posts(table)
    pattern = SENTENCE if granularity == "sentence" else BLOCK
    found = table.select(
        row=pl.int_range(pl.len(), dtype=pl.UInt32), text=pl.col("text").str.extract_all(pattern)
    )
    return found.explode("text")


def summed(
    scores: "npt.NDArray[np.float32]", rows: "pl.Series", n_rows: int, *, over: float
) -> "dict[str, npt.NDArray[np.float32]]":
    """
    Mean (head ""), `max` and `share` of pieces with a score ≥ `over`, per row: float32 (n_rows,).

    `rows` (UInt32, ascending, every row from 0 to n_rows − 1 at least once) says whose pieces the
    scores are. Sums are in float64, in order, so that the result does not depend on batches.
    """
    import numpy as np

    where = rows.to_numpy()
    n_pieces = np.bincount(where, minlength=n_rows)
    starts = np.concatenate(([0], np.cumsum(n_pieces)[:-1]))
    share = np.add.reduceat((scores >= np.float32(over)).astype(np.int64), starts) / n_pieces
    return {
        "": (np.bincount(where, weights=scores, minlength=n_rows) / n_pieces).astype(np.float32),
        "max": np.maximum.reduceat(scores, starts),
        "share": share.astype(np.float32),
    }


def threshold(declaration: Mapping[str, Any]) -> float:
    """The score from which a piece counts in `share`, of a declaration with pieces."""
    return float(Fraction(declaration["over"]))


def _posts(table: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    ends = table.select(
        "text",
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        end=pl.col(POST_ENDS),
        n_bytes=pl.col("text").str.len_bytes(),
    )
    if not ends.select((pl.col("end").list.last() == pl.col("n_bytes")).all()).item():
        raise InputError(f"{POST_ENDS} of a document do not end where its text ends")
    cut = (
        ends.explode("end")
        .with_columns(start=pl.col("end").shift(1).over("row").fill_null(0))
        .with_columns(length=pl.col("end") - pl.col("start"))
    )
    return cut.select(
        "row",
        text=pl.col("text").cast(pl.Binary).bin.slice("start", "length").cast(pl.String),
    )
