"""
Turn rows into candidates: one version of every document, and nothing empty.

Rows with equal document key in one source are one document: the newest wins (more posts, then
later time, then smaller text digest), all its pieces with it. This happens before anything else.

    >>> from curate.mixing.gather import row_type
    >>> kind = row_type(n_selections=0, pieces=False, groups=False)
    >>> rows = np.zeros(3, kind)
    >>> rows["a"], rows["n_posts"], rows["row"] = [5, 5, 6], [2, 3, 1], [0, 1, 2]
    >>> rows["n_tokens"] = 9
    >>> kept, tally = resolved(rows, n_sources=1, least_tokens=2)
    >>> kept["row"].tolist(), tally.n_superseded
    ([1, 2], [1])
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.mixing.gather import Gathered
from curate.mixing.scratch import Rows, picked


@dataclass
class Tally:
    """Rows left out per source, before any `where` is asked."""

    n_superseded: list[int]
    n_empty: list[int]


def resolve(gathered: Gathered) -> Tally:
    """Resolve every bucket in place."""
    n_sources = len(gathered.sources)
    total = Tally([0] * n_sources, [0] * n_sources)
    for number in range(len(gathered.buckets)):
        rows = gathered.buckets.read(number)
        kept, tally = resolved(rows, n_sources=n_sources, least_tokens=gathered.least_tokens)
        if len(kept) != len(rows) or kept["twin"].any():
            gathered.buckets.replace(number, kept)
        for source in range(n_sources):
            total.n_superseded[source] += tally.n_superseded[source]
            total.n_empty[source] += tally.n_empty[source]
    return total


def resolved(rows: Rows, *, n_sources: int, least_tokens: int) -> tuple[Rows, Tally]:
    """
    The rows of one bucket that are candidates, and what was left out.

    A document that another source has too keeps its rows, with `twin` set: whether that matters
    depends on the arm.
    """
    tally = Tally([0] * n_sources, [0] * n_sources)
    suspects = _meeting(rows["a"])
    if len(suspects):
        dead, twins = _versions(picked(rows, suspects))
        tally.n_superseded = _count(rows["source"][suspects[dead]], n_sources)
        rows = rows.copy()
        rows["twin"][suspects[twins]] = 1
        live = np.ones(len(rows), bool)
        live[suspects[dead]] = False
        rows = picked(rows, live)
    empty = rows["n_tokens"] < least_tokens
    if empty.any():
        tally.n_empty = _count(rows["source"][empty], n_sources)
        rows = picked(rows, ~empty)
    return rows, tally


def _count(sources: npt.NDArray[np.uint8], n_sources: int) -> list[int]:
    return [int(n) for n in np.bincount(sources, minlength=n_sources)]


def _meeting(a: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """Positions whose first key word is not unique: few, unless sources or dumps overlap."""
    order = np.argsort(a)
    ordered = a[order]
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return np.empty(0, np.intp)
    meets = np.zeros(len(a), bool)
    meets[1:] |= same
    meets[:-1] |= same
    return np.sort(order[meets])


def _versions(
    rows: Rows,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which of these rows are superseded, and which live ones have a twin in another source."""
    document = "document" if "document" in (rows.dtype.names or ()) else "row"
    outcomes = [rows[name] for name in rows.dtype.names or () if name.startswith("o")]
    # Last is most significant: source, key; then newest first; what remains equal differs in
    # nothing the plan looks at but the outcomes, so that parts and rows decide nothing.
    order = np.lexsort(
        (
            rows[document],
            rows["part"],
            *outcomes,
            rows["content"],
            np.invert(rows["timestamp"]),
            np.invert(rows["n_posts"]),
            rows["b"],
            rows["a"],
            rows["source"],
        )
    )
    ordered = rows[order]
    starts = np.ones(len(rows), bool)
    starts[1:] = (
        (ordered["source"][1:] != ordered["source"][:-1])
        | (ordered["a"][1:] != ordered["a"][:-1])
        | (ordered["b"][1:] != ordered["b"][:-1])
    )
    winner = np.flatnonzero(starts)[np.cumsum(starts) - 1]
    lost = (ordered["part"] != ordered["part"][winner]) | (
        ordered[document] != ordered[document][winner]
    )
    dead = np.empty(len(rows), bool)
    dead[order] = lost
    return dead, _twins(rows, ~dead)


def _twins(rows: Rows, live: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    twin = np.zeros(len(rows), bool)
    positions = np.flatnonzero(live)
    order = np.lexsort((rows["b"][positions], rows["a"][positions]))
    ordered = rows[positions[order]]
    starts = np.ones(len(ordered), bool)
    starts[1:] = (ordered["a"][1:] != ordered["a"][:-1]) | (ordered["b"][1:] != ordered["b"][:-1])
    run = np.cumsum(starts) - 1
    first = ordered["source"][np.flatnonzero(starts)]
    differs = np.zeros(int(run[-1]) + 1 if len(run) else 0, bool)
    np.logical_or.at(differs, run, ordered["source"] != first[run])
    twin[positions[order]] = differs[run]
    return twin
