"""
Turn a part of documents into batches of about two megabytes of text, in order.

One row group is in memory at a time. Where batches are cut decides nothing: each document is
encoded alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from curate import document

ROW_GROUP = 65_536
"""Rows read at once: those of a documents part's row groups (docs/format.md §3.1)."""

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
    for first in range(0, n_rows(documents), ROW_GROUP):
        frame = scan.slice(first, ROW_GROUP).collect()
        words = document.key_words(frame["key"])[:, 0]
        number = np.cumsum(frame["n_bytes"].to_numpy(), dtype=np.int64) // BATCH_BYTES
        borders = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), frame.height]
        for start, end in pairwise(borders):
            yield Batch(first + start, frame.slice(start, end - start), words[start:end])
