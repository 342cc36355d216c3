"""
Turn a seed and a budget into the threads and URLs that are never mixed.

Groups are taken whole, in an order of their own (docs/format.md §4), per source until the budget
is first reached; a group that one source gives up is held out of every other source too:

    >>> from curate.mixing.gather import row_type
    >>> kind = row_type(n_selections=0, pieces=False, groups=True)
    >>> rows = np.zeros(4, kind)
    >>> rows["ga"], rows["n_tokens"] = [1, 2, 1, 3], 10
    >>> groups = Chooser((0,), tokens=15, seed=7)
    >>> groups.add(rows)
    >>> held = groups.chosen().holds(rows)
    >>> bool(held[0] == held[2])
    True
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from curate.mixing import rank
from curate.mixing.gather import words
from curate.mixing.problem import Edit, Problem, grouped
from curate.mixing.scratch import Rows, picked

PREFIX = 20
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """Groups by the words of their keys, sorted."""

    a: rank.Words
    b: rank.Words

    @cached_property
    def _prefixes(self) -> Booleans:
        """Whether any group begins with these `PREFIX` bits: spares most rows the search."""
        found = np.zeros(1 << PREFIX, bool)
        found[self.a >> np.uint64(64 - PREFIX)] = True
        return found

    @cached_property
    def _keys(self) -> set[tuple[int, int]]:
        return set(zip(self.a.tolist(), self.b.tolist(), strict=True))

    def holds(self, rows: Rows) -> Booleans:
        """Which rows belong to one of the groups."""
        held: Booleans = self._prefixes[rows["ga"] >> np.uint64(64 - PREFIX)]
        near = np.flatnonzero(held)
        keys = zip(rows["ga"][near].tolist(), rows["gb"][near].tolist(), strict=True)
        held[near] = [key in self._keys for key in keys]
        return held


class Chooser:
    """Sees every candidate once, in any order, and keeps no more than a few budgets of them."""

    def __init__(self, sources: Sequence[int], *, tokens: int, seed: int) -> None:
        self.tokens = tokens
        self.seed = seed
        kind = [("rank", "<u8"), ("a", "<u8"), ("b", "<u8"), ("n_tokens", "<i8")]
        self.near: dict[int, Rows] = {source: np.empty(0, kind) for source in sources}
        self.bound: dict[int, int] = dict.fromkeys(sources, 2**64 - 1)
        self.waiting: dict[int, list[Rows]] = {source: [] for source in sources}
        self.waiting_tokens = dict.fromkeys(sources, 0)

    def add(self, rows: Rows) -> None:
        """Look at candidates."""
        for source in self.near:
            mine = picked(rows, rows["source"] == source)
            keys = words(mine, "ga", "gb")
            ranked = rank.ranks(keys, self.seed, 0, rank.HOLDOUT)
            close = ranked <= np.uint64(self.bound[source])
            found = np.empty(int(close.sum()), self.near[source].dtype)
            found["rank"], found["n_tokens"] = ranked[close], mine["n_tokens"][close]
            found["a"], found["b"] = keys[close, 0], keys[close, 1]
            self.waiting[source].append(found)
            self.waiting_tokens[source] += int(found["n_tokens"].sum())
            if self.waiting_tokens[source] > self.tokens:
                self._prune(source)

    def _prune(self, source: int) -> None:
        """Forget what no longer can be held out: the bound only falls as documents come."""
        rows = np.concatenate([self.near[source], *self.waiting[source]])
        rows = rows[rank.in_order(rows["rank"].copy(), words(rows, "a", "b"))]
        sums = np.cumsum(rows["n_tokens"])
        stop = int(np.searchsorted(sums, self.tokens))
        if stop < len(rows):
            last = rows[stop]
            # The whole of the group that reaches the budget; its rows are neighbours.
            same = (rows["a"] == last["a"]) & (rows["b"] == last["b"])
            stop = int(np.flatnonzero(same)[-1]) + 1
            self.bound[source] = int(last["rank"])
        self.near[source] = rows[:stop]
        self.waiting[source] = []
        self.waiting_tokens[source] = 0

    def chosen(self, names: Sequence[str] = ()) -> Groups:
        """The groups; Problem if a source has less than its budget (`names`: of the sources)."""
        for source in self.near:
            self._prune(source)
            held = int(self.near[source]["n_tokens"].sum())
            if held < self.tokens:
                name = names[source] if names else f"source {source}"
                raise Problem(
                    f"{name} is too small for the hold-out",
                    [f"{held:,} tokens in whole, {self.tokens:,} to hold out"],
                    [
                        Edit("holdout", "tokens", grouped(count))
                        for count in (max(1, held // 10), max(1, held // 100), 1)
                    ],
                )
        every = np.concatenate(list(self.near.values()))
        keys = np.unique(np.stack((every["a"], every["b"]), axis=1), axis=0)
        return Groups(keys[:, 0].copy(), keys[:, 1].copy())
