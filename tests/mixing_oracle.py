"""
Turn documents and amounts into spans, slowly: a second reading of docs/format.md §4.

Nothing here is shared with `curate.mixing`: plain Python over lists, with fractions.
"""

import hashlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from tests.mixing_world import Doc, key

MASK = 2**64 - 1


def mix(x: int) -> int:
    """The splitmix64 finaliser."""
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & MASK
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def rank(key_: bytes, seed: int, epoch: int, domain: str = "curate-rank-1") -> int:
    """Rank of a key."""
    a, b = (int.from_bytes(key_[n : n + 8], "little") for n in (0, 8))
    text = f"{domain}\0{seed}\0{epoch}"
    s = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return mix(mix(a ^ s) ^ b)


def newest(rows: Sequence[Doc]) -> list[Doc]:
    """One version of every document: most posts, then latest, then smallest text digest."""
    best: dict[str, Doc] = {}
    for row in rows:
        have = best.get(row.id)
        if have is None or age(row) < age(have):
            best[row.id] = row
    return [row for row in rows if age(row) == age(best[row.id])]


def age(row: Doc) -> tuple[int, float, bytes]:
    """Sorts the newest first."""
    when = float("inf") if row.timestamp is None else -row.timestamp
    return (-row.n_posts, when, row.content[:8])


def held_groups(rows: Sequence[Doc], tokens: int, seed: int) -> set[str]:
    """Groups of a source that are held out."""
    groups = sorted(
        {row.group or row.id for row in rows},
        key=lambda g: (rank(key(g), seed, 0, "curate-holdout-1"), key(g)),
    )
    held: set[str] = set()
    for group in groups:
        if sum(row.n_tokens for row in rows if (row.group or row.id) in held) >= tokens:
            break
        held.add(group)
    return held


def stream(rows: Sequence[Doc], seed: int, n_epochs: int) -> list[tuple[int, Doc]]:
    """Documents by (epoch, rank, key)."""
    return [
        (epoch, row)
        for epoch in range(n_epochs)
        for row in sorted(rows, key=lambda r: (rank(key(r.row_id), seed, epoch), key(r.row_id)))
    ]


class Taken(NamedTuple):
    """A span of one component."""

    id: str
    epoch: int
    n_tokens: int
    cut: bool


def cut(documents: Sequence[tuple[int, Doc]], tokens: int, least: int = 3) -> list[Taken]:
    """The first documents, cut to exactly `tokens`."""
    whole: list[Taken] = []
    left = tokens
    for epoch, row in documents:
        if row.n_tokens > left:
            if left:
                return _cut_last(whole, Taken(row.row_id, epoch, row.n_tokens, False), left, least)
            return whole
        whole.append(Taken(row.row_id, epoch, row.n_tokens, False))
        left -= row.n_tokens
    assert not left, "the pool is too small"
    return whole


def _cut_last(whole: list[Taken], last: Taken, left: int, least: int) -> list[Taken]:
    if left >= least or not whole:
        return [*whole, last._replace(n_tokens=left, cut=True)]
    *rest, before = whole
    both = before.n_tokens + left
    for size in (min(least, last.n_tokens),):
        if both - size >= least:
            return [*rest, *(_sized(s, n) for s, n in ((before, both - size), (last, size)))]
    if both <= last.n_tokens:
        return [*rest, _sized(last, both)]
    size = min(last.n_tokens, both // 2)
    return [*rest, _sized(before, both - size), _sized(last, size)]


def _sized(span: Taken, n_tokens: int) -> Taken:
    return span._replace(n_tokens=n_tokens, cut=n_tokens != span.n_tokens)


def interleaved(
    components: dict[str, list[Taken]], schedule: dict[str, Callable[[int], Fraction]] | None = None
) -> list[tuple[str, Taken]]:
    """All spans by (due, name, c); `schedule` gives the inverse of F where it is not a line."""
    totals = {name: sum(s.n_tokens for s in spans) for name, spans in components.items()}
    whole = sum(totals.values())
    placed = []
    for name, spans in components.items():
        start = 0
        for span in spans:
            due = (
                schedule[name](start) if schedule else Fraction(start * whole, totals[name])
            ).__floor__()
            placed.append((due, name, start, span))
            start += span.n_tokens
    return [(name, span) for _, name, _, span in sorted(placed, key=lambda p: p[:3])]


def largest_deviation(order: Sequence[tuple[str, Taken]]) -> tuple[Fraction, int, str]:
    """(value, at, component) of the largest |p·E − e| over all components and span ends."""
    totals: dict[str, int] = {}
    for name, span in order:
        totals[name] = totals.get(name, 0) + span.n_tokens
    whole = sum(totals.values())
    end, own = 0, dict.fromkeys(totals, 0)
    best = (Fraction(0), 0, min(totals))
    for name, span in order:
        end += span.n_tokens
        own[name] += span.n_tokens
        for other in sorted(totals):
            off = abs(Fraction(totals[other] * end, whole) - own[other])
            if off > best[0]:
                best = (off, end, other)
    return best
