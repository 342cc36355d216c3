"""
Turn a batch that the fast engine encoded into the documents on which the reference disagrees.

The sample is decided by the document's key alone: those whose first eight bytes, as a
little-endian number, are divisible by 1,000, and some rows spread over the part. A sample can
miss a difference; `verify --retokenize all` cannot.

    >>> chosen(np.array([1000, 1001, 5, 3000], dtype=np.uint64), first_row=10, n_rows=100)
    array([0, 3])
"""

import numpy as np
import numpy.typing as npt

from curate.tokenizer import Tokenizer
from curate.tokens.engines import Engine, Ids, Offsets, reference

ONE_IN = 1_000
N_SPREAD = 8
"""Rows of every part that are compared whatever their keys."""

LONG_TEXT = 65_536
"""Characters; of a longer document both engines encode this beginning, and only that."""


def chosen(words: npt.NDArray[np.uint64], *, first_row: int, n_rows: int) -> npt.NDArray[np.intp]:
    """
    Which rows of a batch are compared: their positions in it.

    `words` are the first halves of the keys, `first_row` is the batch's first row in the part,
    `n_rows` those of the part.
    """
    take = words % np.uint64(ONE_IN) == 0
    spread = np.arange(N_SPREAD) * n_rows // N_SPREAD - first_row
    take[spread[(spread >= 0) & (spread < len(words))]] = True
    return np.flatnonzero(take)


def mismatches(
    texts: list[str],
    ids: Ids,
    offsets: Offsets,
    rows: npt.NDArray[np.intp],
    tokenizer: Tokenizer,
    engine: Engine,
) -> list[int]:
    """Those of `rows` whose ids are not the reference's."""
    wrong = []
    for row in rows.tolist():
        text, found = texts[row], ids[offsets[row] : offsets[row + 1]]
        if len(text) > LONG_TEXT:
            text = text[:LONG_TEXT]
            found, _ = engine.encode([text])
        right, _ = reference(tokenizer).encode([text])
        if not np.array_equal(right, found):
            wrong.append(row)
    return wrong
