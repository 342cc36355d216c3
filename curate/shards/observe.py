"""
Turn the blocks of a mix, one after the other, into the numbers its manifest states about them.

Everything here is counted from what was written; the plan is only compared with it afterwards.
The deviation of component i after E tokens is |F_i(E) − e_i| (docs/format.md §4), F_i(E) = p_i·E
without phases: exact, in fractions of a token, although it is searched for in floating point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.shards.bends import Phases, Point, bends, interpolated
from curate.shards.documents import values
from curate.shards.gather import Counts

if TYPE_CHECKING:
    import polars as pl

WINDOWS = (1024, 2048, 4096, 8192)
"""Window lengths, in tokens, for which a manifest says what a reader drops."""

OF_CUTS = ["key", "epoch", "n_tokens", "n_tokens_whole"]
"""What a manifest says of a cut span."""


@dataclass
class Tally:
    """What was counted of one component."""

    name: str
    n_tokens: int = 0
    n_spans: int = 0
    n_bytes: int = 0
    n_documents: int = 0
    cut: list[dict[str, Any]] = field(default_factory=list)
    stream: Any = field(default_factory=sha256)


class Deviation:
    """
    The largest |F_i(E) − e_i| over all components i and all span ends E of a stream.

        >>> seen = Deviation(np.array([4, 2]))
        >>> seen.add(np.array([0, 1, 0]), np.array([2, 2, 2]))
        >>> seen.value, seen.component, seen.at  # after 2 tokens: 2/3 of 2 are due, 2 are there
        (Fraction(2, 3), 0, 2)

    Of equal deviations the one at the smaller E counts, then that of the first component.
    """

    def __init__(self, totals: Counts, phases: Mapping[int, Phases] | None = None) -> None:
        self.totals = totals
        self.total = int(totals.sum())
        self.bends = bends(totals.tolist(), phases) if phases else None
        self.component, self.at = int(np.argmax(totals > 0)) if len(totals) else 0, 0
        self._best = Fraction(0)  # of |T_i·E − W·e_i|
        self._taken = np.zeros(len(totals), dtype=np.int64)

    @property
    def value(self) -> Fraction:
        """The largest deviation so far, in tokens."""
        return Fraction(self._best, self.total or 1)

    def add(self, components: Counts, lengths: Counts) -> None:
        """Append spans in stream order: component numbers and tokens, both of shape (n,)."""
        ends = int(self._taken.sum()) + np.cumsum(lengths, dtype=np.int64)
        found: list[tuple[Fraction, int, int]] = []
        for i, total in enumerate(self.totals.tolist()):
            own = self._taken[i] + np.cumsum(np.where(components == i, lengths, 0))
            if total in (0, self.total):
                pass  # none, or alone: never off
            elif self.bends is None:
                found += self._candidates(i, total, ends, own)
            else:
                found += self._bent(i, self.bends[i], ends, own)
            self._taken[i] = own[-1]
        for value, at, i in found:
            if value > self._best or (value == self._best > 0 and at < self.at):
                self._best, self.at, self.component = value, at, i

    def _candidates(
        self, i: int, total: int, ends: Counts, own: Counts
    ) -> list[tuple[Fraction, int, int]]:
        # Products of integers below 2^53 are off by half a unit in the last place, hence each
        # difference by less than W² / 2^51. What is that near to the largest is computed exactly.
        rough = np.abs(float(total) * ends - float(self.total) * own)
        slack = float(self.total) ** 2 / 2**50
        largest = max(float(rough.max()), float(self._best))
        near = np.flatnonzero(rough >= largest - slack)
        exact = [
            (Fraction(abs(total * e - self.total * o)), e, i)
            for e, o in zip(ends[near].tolist(), own[near].tolist(), strict=True)
        ]
        return sorted(exact, key=lambda c: (-c[0], c[1]))[:1]

    def _bent(
        self, i: int, points: list[Point], ends: Counts, own: Counts
    ) -> list[tuple[Fraction, int, int]]:
        # Between its points F is straight; floats are right to far below an eighth of a token.
        at, due = ([float(p[n]) for p in points] for n in (0, 1))
        rough = np.abs(np.interp(ends, at, due) - own)
        least = max(float(rough.max()), float(self.value)) - 0.125
        exact = [
            (abs(interpolated(points, int(ends[n])) - int(own[n])) * self.total, int(ends[n]), i)
            for n in np.flatnonzero(rough >= least).tolist()
        ]
        return sorted(exact, key=lambda c: (-c[0], c[1]))[:1]


class Observed:
    """Counts over the blocks of one mix, fed in order."""

    def __init__(
        self, names: Sequence[str], totals: Counts, phases: Mapping[int, Phases] | None = None
    ) -> None:
        self.tallies = [Tally(name) for name in names]
        self.deviation = Deviation(totals, phases)
        self.shards: list[dict[str, Any]] = []
        self.longest = 0  # tokens of the longest span
        self._open: list[tuple[Counts, Counts]] = []  # blocks of the shard being written
        self._windows: dict[int, list[int]] = {w: [] for w in WINDOWS}
        self._dropped = {w: np.zeros(len(names), dtype=np.int64) for w in WINDOWS}

    def add(self, components: Counts, lengths: Counts, spans: "pl.DataFrame") -> None:
        """Count a block: component numbers and lengths of its spans, and their rows."""
        self.deviation.add(components, lengths)
        self.longest = max(self.longest, int(lengths.max()))
        digests, cut = values(spans["digest"]), spans["cut"].to_numpy()
        n_bytes = spans["n_bytes"].to_numpy()
        for number, tally in enumerate(self.tallies):
            mine = components == number
            tally.n_spans += int(mine.sum())
            tally.n_tokens += int(lengths[mine].sum())
            tally.n_bytes += int(n_bytes[mine].sum(dtype=np.int64))
            tally.stream.update(digests[mine].tobytes())
            for at in np.flatnonzero(mine & cut).tolist():
                key, *counts = spans[OF_CUTS].row(at)
                tally.cut.append(dict(zip(OF_CUTS, (key.hex(), *counts), strict=True)))
        self._open.append((components, lengths))

    def end_shard(self) -> None:
        """The blocks since the last call were a shard."""
        components, lengths = (np.concatenate(arrays) for arrays in zip(*self._open, strict=True))
        self._open.clear()
        self._count_windows(components, lengths)

    def name_shard(self, name: str, digest: str, n_tokens: int, n_spans: int) -> None:
        """Note the name under which a shard was written, and the sha256 of its ids."""
        self.shards.append(
            {"name": name, "sha256": digest, "n_tokens": n_tokens, "n_spans": n_spans}
        )

    def windows(self) -> dict[str, Any]:
        """The manifest's `windows`: per length, how many per shard and whose tokens are lost."""
        names = [tally.name for tally in self.tallies]
        return {
            str(w): {
                "n_windows": self._windows[w],
                "n_dropped": dict(zip(names, self._dropped[w].tolist(), strict=True)),
            }
            for w in WINDOWS
        }

    def _count_windows(self, components: Counts, lengths: Counts) -> None:
        ends = np.cumsum(lengths, dtype=np.int64)
        n_tokens = int(ends[-1])
        for w in WINDOWS:
            kept = n_tokens // w * w
            lost = ends - np.maximum(ends - lengths, kept)
            tail = lost > 0
            self._windows[w].append(n_tokens // w)
            np.add.at(self._dropped[w], components[tail], lost[tail])


def bound(totals: Counts, component: int, longest: int) -> Fraction:
    """
    How far a component can be from its share in a stream ordered by due time (DESIGN §2.7).

    With p = T_i / W, k components that have tokens and L the longest span, −(1−p)(L+p) ≤ p·E − e
    ≤ p·((k−1)·L+1); this is the larger of the two in absolute value.
    """
    total = int(totals.sum())
    if total == 0:
        return Fraction(0)
    p = Fraction(int(totals[component]), total)
    k = int((totals > 0).sum())
    return max((1 - p) * (longest + p), p * ((k - 1) * longest + 1))
