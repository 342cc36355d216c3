"""
Turn candidates into totals: what each component could have, and what each clause drops.

One pass over the buckets answers for every arm. A pool is one component's eligible documents: a
selection, less those that other components of the arm have before it (`overlap = "first"`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from curate.mixing import rank
from curate.mixing.gather import Gathered, Selection, words
from curate.mixing.holdout import Groups
from curate.mixing.scratch import Rows, joined, picked
from curate.mixing.where import KEPT

Booleans = npt.NDArray[np.bool_]
UNITS = ("documents", "tokens", "bytes")
BINS = 1 << 16
"""Bins by the top 16 bits of rank: they bound how far an amount reaches, and never decide it."""


@dataclass(frozen=True)
class Pool:
    """The documents a component may take: its selection, less those of `excluded`."""

    selection: Selection
    excluded: tuple[Selection, ...] = ()


@dataclass
class Count:
    """What a pool holds; `reach` is, per seed, each unit by bin of the first epoch's rank."""

    documents: int = 0
    tokens: int = 0
    bytes: int = 0
    longest: int = 0
    reach: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)

    def of(self, unit: str) -> int:
        """The total in a unit."""
        return {"documents": self.documents, "tokens": self.tokens, "bytes": self.bytes}[unit]


@dataclass
class Census:
    """Totals over all candidates."""

    pools: dict[Pool, Count] = field(default_factory=dict)
    outcomes: dict[Selection, npt.NDArray[np.int64]] = field(default_factory=dict)
    overlaps: dict[tuple[Selection, Selection], int] = field(default_factory=dict)
    untaken: dict[tuple[Selection, ...], npt.NDArray[np.int64]] = field(default_factory=dict)
    """For the selections of an arm on one source: outcomes of the first where all drop a row."""


class View:
    """One bucket's rows, asked which selections take which."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.masks: dict[Selection, Booleans] = {}
        self.twin = np.flatnonzero(rows["twin"]) if len(rows) else np.empty(0, np.intp)
        self.twin_key = np.empty(0, np.intp)
        if len(self.twin):
            keys = words(rows[self.twin], "a", "b")
            self.twin_key = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)

    def takes(self, selection: Selection) -> Booleans:
        """Rows whose `where` is met."""
        if selection not in self.masks:
            self.masks[selection] = (self.rows["source"] == selection.source) & (
                self.rows[f"o{selection.number}"] == KEPT
            )
        return self.masks[selection]

    def taken_elsewhere(self, selection: Selection) -> Booleans:
        """Rows of any source whose document this selection takes, in its own source."""
        result = np.zeros(len(self.rows), bool)
        if len(self.twin):
            takes = self.takes(selection)[self.twin]
            keys = np.zeros(int(self.twin_key.max()) + 1, bool)
            keys[self.twin_key[takes]] = True
            result[self.twin] = keys[self.twin_key]
        return result

    def eligible(self, pool: Pool) -> Booleans:
        """Rows of a pool."""
        result = self.takes(pool.selection)
        for other in pool.excluded:
            if other.source == pool.selection.source:
                result = result & ~self.takes(other)
            else:
                result = result & ~self.taken_elsewhere(other)
        return result

    def shared(self, one: Selection, other: Selection) -> int:
        """Rows that both take (in one source), or rows of `one` that `other` has as twins."""
        if one.source == other.source:
            return int((self.takes(one) & self.takes(other)).sum())
        return int((self.takes(one) & self.taken_elsewhere(other)).sum())


@dataclass(frozen=True)
class Candidates:
    """The rows a mix may use: not superseded, not empty, not held out."""

    gathered: Gathered
    groups: Groups | None

    def __iter__(self) -> Iterator[Rows]:
        for number in range(len(self.gathered.buckets)):
            rows = self.gathered.buckets.read(number)
            yield rows if self.groups is None else picked(rows, ~self.groups.holds(rows))

    def held_out(self) -> Rows:
        """The rows that are held out, in no particular order."""
        if self.groups is None:
            return np.empty(0, self.gathered.buckets.dtype)
        buckets = self.gathered.buckets
        found = []
        for number in range(len(buckets)):
            rows = buckets.read(number)
            found.append(picked(rows, self.groups.holds(rows)))
        return joined(found)


def piece_words(rows: Rows) -> rank.Words:
    """The (n, 2) words of the keys that rank: of the piece where documents were split."""
    pieces = "pa" in (rows.dtype.names or ())
    found: rank.Words = words(rows, "pa", "pb") if pieces else words(rows, "a", "b")
    return found


def count(
    candidates: Candidates,
    census: Census,
    *,
    pools: Sequence[tuple[Pool, int]],
    pairs: Sequence[tuple[Selection, Selection]],
    unions: Sequence[tuple[Selection, ...]],
) -> None:
    """Fill a census with the pools (each with a seed), overlaps and unions it lacks: one pass."""
    new_pools = [(p, seed) for p, seed in pools if seed not in census.pools.get(p, Count()).reach]
    sums = {pool for pool, _ in new_pools if pool not in census.pools}
    new_pairs = [pair for pair in pairs if pair not in census.overlaps]
    new_unions = [union for union in unions if union not in census.untaken]
    selections = {u[0] for u in new_unions} | {pool.selection for pool in sums}
    new_selections = [s for s in selections if s not in census.outcomes]
    if not (new_pools or new_pairs or new_unions or new_selections):
        return
    for pool, seed in new_pools:
        reach = np.zeros((len(UNITS), BINS), np.int64)
        census.pools.setdefault(pool, Count()).reach[seed] = reach
    census.overlaps.update(dict.fromkeys(new_pairs, 0))
    census.untaken.update({union: np.zeros(256, np.int64) for union in new_unions})
    census.outcomes.update({s: np.zeros(256, np.int64) for s in new_selections})
    for rows in candidates:
        view = View(rows)
        for selection in new_selections:
            mine = rows[f"o{selection.number}"][rows["source"] == selection.source]
            census.outcomes[selection] += np.bincount(mine, minlength=256)
        for pool in sums:
            add(census.pools[pool], picked(rows, view.eligible(pool)))
        for pool, seed in new_pools:
            _bin(census.pools[pool].reach[seed], picked(rows, view.eligible(pool)), seed)
        for one, other in new_pairs:
            census.overlaps[one, other] += view.shared(one, other)
        for union in new_unions:
            taken = np.logical_or.reduce([view.takes(s) for s in union])
            left = rows[(rows["source"] == union[0].source) & ~taken]
            census.untaken[union] += np.bincount(left[f"o{union[0].number}"], minlength=256)


def add(total: Count, rows: Rows) -> None:
    """Count rows."""
    total.documents += len(rows)
    total.tokens += int(rows["n_tokens"].sum(dtype=np.int64))
    total.bytes += int(rows["n_bytes"].sum(dtype=np.int64))
    total.longest = max(total.longest, int(rows["n_tokens"].max(initial=0)))


def _bin(reach: npt.NDArray[np.int64], rows: Rows, seed: int) -> None:
    bins = (rank.ranks(piece_words(rows), seed, 0) >> np.uint64(48)).astype(np.int64)
    reach[0] += np.bincount(bins, minlength=BINS)
    for unit, column in ((1, "n_tokens"), (2, "n_bytes")):
        # Sums of whole numbers below 2^53 are exact in float64.
        weighed = np.bincount(bins, weights=rows[column], minlength=BINS)
        reach[unit] += weighed.astype(np.int64)
