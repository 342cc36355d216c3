"""
Turn a part of documents into batches of about two megabytes of text, in order.

Some tens of megabytes are in memory at a time, whatever the row groups. Where batches are cut
decides nothing: each document is encoded alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from curate import document

READ_BYTES = 48 << 20
"""Text read at once. Parquet pages are skipped cheaply, so this costs no time over a row group."""

BATCH_BYTES = 2 << 20
"""Text given to an engine at once: fits a core's caches, and the reference's appetite."""


@dataclass
class Batch:
    """Some documents of one part."""

    first_row: int  # in the part
    frame: pl.DataFrame  # id, key, text, n_bytes
    words: npt.NDArray[np.uint64]  # first halves of the keys


def n_rows(documents: Path) -> int:
    """Documents of a part, from the Parquet footer."""
    return int(pl.scan_parquet(documents, glob=False).select(pl.len()).collect().item())


def batches(documents: Path) -> Iterator[Batch]:
    """The part, about BATCH_BYTES of text at a time."""
    scan = pl.scan_parquet(documents, glob=False).select("id", "key", "text", "n_bytes")
    n_bytes = scan.select("n_bytes").collect().to_series().to_numpy()
    for first, end in pairwise(_borders(n_bytes, READ_BYTES)):
        frame = scan.slice(first, end - first).collect()
        words = document.key_words(frame["key"])[:, 0]
        for a, b in pairwise(_borders(n_bytes[first:end], BATCH_BYTES)):
            yield Batch(first + a, frame.slice(a, b - a), words[a:b])


def _borders(n_bytes: npt.NDArray[np.uint32], limit: int) -> list[int]:
    """Where to cut rows so that a stretch has about `limit` bytes: 0 … number of rows."""
    number = np.cumsum(n_bytes, dtype=np.int64) // limit
    return sorted({0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(n_bytes)})
