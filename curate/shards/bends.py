"""
Turn phases into the points between which each component's schedule is straight.

docs/format.md §4, "schedule": a component with phases has, by each point of the stream, its tokens
in proportion to its density so far; the others share what those leave:

    >>> half = Fraction(1, 2)
    >>> late = bends([60, 40], {1: [(half, Fraction(0)), (half, Fraction(1))]})
    >>> [[(int(at), int(due)) for at, due in points] for points in late]
    [[(0, 0), (50, 50), (100, 60)], [(0, 0), (50, 0), (100, 40)]]
    >>> interpolated(late[1], 75)
    Fraction(20, 1)
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate

Phases = Sequence[tuple[Fraction, Fraction]]
"""(stretch of the stream, relative density), stretches adding up to 1."""
Point = tuple[Fraction, Fraction]
"""(token of the stream, own tokens due by then)."""


def bends(totals: Sequence[int], phases: Mapping[int, Phases]) -> list[list[Point]]:
    """The points of every component, from (0, 0) to (W, T_i); `phases` by component number."""
    stream = sum(totals)
    places = {Fraction(0), Fraction(1)}
    for rows in phases.values():
        places |= set(accumulate((stretch for stretch, _ in rows), initial=Fraction(0)))
    free = sum(total for number, total in enumerate(totals) if number not in phases)
    found: list[list[Point]] = [[] for _ in totals]
    for place in sorted(places):
        due = {n: totals[n] * _until(rows, place) for n, rows in phases.items()}
        left = place * stream - sum(due.values())
        for number, total in enumerate(totals):
            own = due[number] if number in due else left * Fraction(total, free or 1)
            found[number].append((place * stream, own))
    return found


def _until(rows: Phases, place: Fraction) -> Fraction:
    """The part of a component's tokens that its phases put before a point of the stream."""
    starts = accumulate((stretch for stretch, _ in rows), initial=Fraction(0))
    before = [
        max(Fraction(0), min(stretch, place - start)) * density
        for (stretch, density), start in zip(rows, starts, strict=False)
    ]
    return sum(before, Fraction(0)) / sum(stretch * density for stretch, density in rows)


def interpolated(points: Sequence[Point], at: int) -> Fraction:
    """Own tokens due by token `at` of the stream."""
    right = min(bisect_right(points, Fraction(at), key=_place), len(points) - 1)
    (x, low), (z, high) = points[right - 1], points[right]
    return low + (at - x) * (high - low) / (z - x)


def _place(point: Point) -> Fraction:
    return point[0]
