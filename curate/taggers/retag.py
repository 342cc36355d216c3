"""
Turn finished tags back into a question: does the model still give these scores?

    >>> compared([0.5, None], [0.5, None], tolerance=0.0)
    (0.0, 0)
    >>> compared([0.5, 0.25], [0.5, 0.5], tolerance=0.1)
    (0.25, 1)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate import document
from curate.errors import IntegrityError
from curate.taggers import calibrate, work
from curate.taggers.probe import TOLERANCE


def retagged(
    parts: Sequence[tuple[str, Path, Path]], declaration: Mapping[str, Any], *, n: int, seed: int
) -> dict[str, Any]:
    """
    Score n documents of one source again and compare with what is recorded.

    `parts` are (name, documents part, tags part); the documents are drawn by key. fastText must
    give the same float32 (the golden tolerance where the processor differs), Detoxify within the
    tolerance of its precision. Facts: `n_documents`, `largest_difference`, `n_differing`; raises
    IntegrityError if one differs by more, with its part and row.
    """
    import polars as pl

    tagger = work.opened(declaration)
    tolerance = TOLERANCE[declaration.get("precision", "fp32")]
    names = list(work.columns(declaration))
    largest, n_differing, n_documents = 0.0, 0, 0
    for part, rows in _drawn(parts, n, seed).items():
        documents, tags = next((d, t) for name, d, t in parts if name == part)
        chosen = pl.Series(rows)
        texts = pl.read_parquet(documents)[chosen]
        recorded = pl.read_parquet(tags, columns=names)[chosen]
        found = tagger.tag(texts)
        for name in names:
            before, after = recorded[name].to_list(), found[name].to_list()
            apart, differing = compared(before, after, tolerance=tolerance)
            largest, n_differing = max(largest, apart), n_differing + differing
            if differing:
                row = next(i for i, pair in enumerate(zip(before, after, strict=True))
                           if compared([pair[0]], [pair[1]], tolerance=tolerance)[1])  # fmt: skip
                raise IntegrityError(
                    f"{part}: the model does not give the recorded {name}",
                    details=[f"row {rows[row]:,}: recorded {before[row]}, found {after[row]}"],
                )
        n_documents += len(rows)
    return {
        "n_documents": n_documents,
        "largest_difference": calibrate.decimal(largest),
        "n_differing": n_differing,
    }


def compared(before: Sequence[Any], after: Sequence[Any], *, tolerance: float) -> tuple[float, int]:
    """Largest difference of numbers, and how many values differ by more than the tolerance."""
    largest, n_differing = 0.0, 0
    for old, new in zip(before, after, strict=True):
        if isinstance(old, float) and isinstance(new, float):
            largest = max(largest, abs(old - new))
            n_differing += abs(old - new) > tolerance
        else:
            n_differing += old != new
    return largest, n_differing


def _drawn(parts: Sequence[tuple[str, Path, Path]], n: int, seed: int) -> dict[str, list[int]]:
    """Rows of n documents by part, those with the smallest draws of all."""
    import polars as pl

    tables = []
    for name, documents, _ in parts:
        keys = pl.read_parquet(documents, columns=["key"])["key"]
        drawn = calibrate.numbers(document.key_words(keys), seed)
        tables.append(
            pl.DataFrame({"part": [name] * len(keys), "drawn": drawn}).with_row_index("row")
        )
    least = pl.concat(tables).sort("drawn", "part", "row").head(n).sort("part", "row")
    return {
        str(part): rows["row"].to_list()
        for (part,), rows in least.partition_by("part", as_dict=True).items()
    }
