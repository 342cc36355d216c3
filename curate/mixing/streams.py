"""
Turn pools into streams: their documents by (epoch, rank, key), as far as the arms reach.

The histograms of the census say which ranks can be reached at all; those rows alone are scattered
into ranges of rank, and each range is sorted in memory. So neither time nor memory depends on the
size of a pool whose end is not asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.mixing import rank
from curate.mixing.census import BINS, UNITS, Candidates, Census, Count, Pool, View, piece_words
from curate.mixing.gather import words
from curate.mixing.scratch import Buckets, Scratch, Tape, picked

RANGE_ROWS = 1 << 21
TAKEN = np.dtype(
    [
        ("a", "<u8"),
        ("b", "<u8"),
        ("part", "<u4"),
        ("row", "<u4"),
        ("n_tokens", "<u4"),
        ("n_bytes", "<u4"),
    ]
)
"""A document of a stream: words of its key, where it lies, its size."""
_RANKED = np.dtype([("rank", "<u8"), *((name, TAKEN[name]) for name in TAKEN.names or ())])


@dataclass(frozen=True)
class Stream:
    """A pool in the order of one seed: epoch after epoch, `per_epoch` documents each."""

    pool: Pool
    seed: int
    per_epoch: int
    tape: Tape


@dataclass
class Need:
    """How far a stream must reach, in each unit."""

    documents: int = 0
    tokens: int = 0
    bytes: int = 0

    def of(self, unit: str) -> int:
        """In one unit."""
        return {"documents": self.documents, "tokens": self.tokens, "bytes": self.bytes}[unit]


@dataclass
class _Epoch:
    number: int
    last_bin: int
    ranges: Buckets


def make(
    candidates: Candidates,
    census: Census,
    needs: Mapping[tuple[Pool, int], Need],
    scratch: Scratch,
) -> dict[tuple[Pool, int], Stream]:
    """The streams asked for; each ends early only where its pool's epochs do."""
    epochs = {
        (pool, seed): _epochs(pool, seed, census.pools[pool], need, scratch, number)
        for number, ((pool, seed), need) in enumerate(needs.items())
    }
    for rows in candidates:
        view = View(rows)
        for (pool, seed), wanted in epochs.items():
            mine = picked(rows, view.eligible(pool))
            keys = piece_words(mine)
            for epoch in wanted:
                ranked = rank.ranks(keys, seed, epoch.number)
                bins = ranked >> np.uint64(48)
                near = bins <= np.uint64(epoch.last_bin)
                found = np.empty(int(near.sum()), _RANKED)
                found["rank"] = ranked[near]
                found["a"], found["b"] = keys[near, 0], keys[near, 1]
                for name in ("part", "row", "n_tokens", "n_bytes"):
                    found[name] = mine[name][near]
                ranges = np.uint64(len(epoch.ranges))
                epoch.ranges.scatter(bins[near] * ranges // np.uint64(epoch.last_bin + 1), found)
    return {
        (pool, seed): Stream(
            pool,
            seed,
            census.pools[pool].documents,
            _ordered(epochs[pool, seed], needs[pool, seed], scratch, f"stream-{number}"),
        )
        for number, (pool, seed) in enumerate(needs)
    }


def _epochs(
    pool: Pool, seed: int, total: Count, need: Need, scratch: Scratch, number: int
) -> list[_Epoch]:
    n_epochs = max(-(-need.of(unit) // (total.of(unit) or 1)) for unit in UNITS)
    wanted = []
    for epoch in range(n_epochs if total.documents else 0):
        last_bin, n_rows = BINS - 1, total.documents
        if n_epochs == 1:
            running = np.cumsum(total.reach[seed], axis=1)
            reached = [
                int(np.searchsorted(running[unit], need.of(name)))
                for unit, name in enumerate(UNITS)
            ]
            last_bin = min(max(reached), BINS - 1)
            n_rows = int(running[0, last_bin])
        n_ranges = min(1 + n_rows // RANGE_ROWS, last_bin + 1)
        wanted.append(
            _Epoch(epoch, last_bin, Buckets(scratch, f"ranks-{number}-{epoch}", _RANKED, n_ranges))
        )
    return wanted


def _ordered(epochs: list[_Epoch], need: Need, scratch: Scratch, name: str) -> Tape:
    tape = Tape(scratch, name, TAKEN, ("n_tokens", "n_bytes"))
    for epoch in epochs:
        for number in range(len(epoch.ranges)):
            reached = {
                "documents": len(tape),
                "tokens": tape.sums["n_tokens"][-1],
                "bytes": tape.sums["n_bytes"][-1],
            }
            if any(reached[unit] < need.of(unit) for unit in UNITS):
                rows = epoch.ranges.read(number)
                order = rank.in_order(rows["rank"].copy(), words(rows, "a", "b"))
                sorted_rows = np.empty(len(rows), TAKEN)
                for field in TAKEN.names or ():
                    sorted_rows[field] = rows[field][order]
                tape.append(sorted_rows)
        epoch.ranges.drop()
    return tape
