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

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

SENTENCE = r"""(?s).+?(?:[.!?…]+["'”’)\]]*\s+|\n\s*|\z)"""
"""A sentence ends after its stop, quotes and space, or at a line break; the space is its own."""

HEADER = r"(?m)^(--- [0-9a-z]+)$"
BETWEEN = "\n\n\n"
"""What stands before a post in a serialised thread, or between two of them (`readers.fourchan`)."""


def pieces(table: "pl.DataFrame", granularity: str) -> "pl.DataFrame":
    """
    `row` UInt32 and `text` String of every post or sentence of `table` (n rows with `text`).

    A post ends before a line `--- 7` or after two empty lines, as threads are serialised. Every
    row gives at least one piece and none is empty.
    """
    import polars as pl

    text = pl.col("text")
    if granularity == "sentence":
        made = text.str.extract_all(SENTENCE)
    else:
        mark = _unused(table["text"])
        marked = text.str.replace_all(HEADER, f"{mark}$1")
        marked = marked.str.replace_all(BETWEEN, BETWEEN + mark, literal=True)
        made = marked.str.split(mark).list.filter(pl.element() != "")
    rows = pl.int_range(pl.len(), dtype=pl.UInt32)
    return table.select(row=rows, text=made).explode("text")


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


def _unused(texts: "pl.Series") -> str:
    """A string that none of `texts` has: control characters, as many as it takes."""
    mark = "\x1e"
    while texts.str.contains(mark, literal=True).any():
        mark += "\x1f"
    return mark
