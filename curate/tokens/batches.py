"""
Turn a part of documents into batches of a few megabytes of text, in order.

About a hundred megabytes are in memory at a time, whatever the row groups. Where batches are cut
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

READ_BYTES = 96 << 20
"""Text read at once. Pages at both ends are unpacked twice, so many small reads take longer."""

BATCH_BYTES = 2 << 20
"""Text that either engine may be given at once: some 150 bytes for each in the reference."""


@dataclass
class Batch:
    """Some documents of one part."""

    first_row: int  # in the part
    frame: pl.DataFrame  # key, text, n_bytes; id where asked for
    words: npt.NDArray[np.uint64]  # first halves of the keys


def n_rows(documents: Path) -> int:
    """Documents of a part, from the Parquet footer."""
    return int(pl.scan_parquet(documents, glob=False).select(pl.len()).collect().item())


def batches(
    documents: Path, *, batch_bytes: int = BATCH_BYTES, ids: bool = False
) -> Iterator[Batch]:
    """The part, about `batch_bytes` of text at a time; with the column `id` if `ids`."""
    columns = ["key", "text", "n_bytes", *(["id"] if ids else [])]
    scan = pl.scan_parquet(documents, glob=False).select(columns)
    n_bytes = scan.select("n_bytes").collect().to_series().to_numpy()
    for first, end in pairwise(_borders(n_bytes, READ_BYTES)):
        frame = scan.slice(first, end - first).collect()
        words = document.key_words(frame["key"])[:, 0]
        for a, b in pairwise(_borders(n_bytes[first:end], batch_bytes)):
            yield Batch(first + a, frame.slice(a, b - a), words[a:b])


def _borders(n_bytes: npt.NDArray[np.uint32], limit: int) -> list[int]:
    """Where to cut rows so that a stretch has about `limit` bytes: 0 … number of rows."""
    number = np.cumsum(n_bytes, dtype=np.int64) // limit
    return sorted({0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(n_bytes)})
