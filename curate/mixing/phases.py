"""
Turn phases into schedules: how much of a component is due by each token of the stream.

A schedule F is piecewise linear and never falls; F(0) = 0, F(W) = T, and at every token the
schedules of all components sum to the stream. Without phases F is a straight line:

    >>> even = schedules({"clean": 60, "toxic": 40}, {})["toxic"]
    >>> even.due(np.array([0, 10, 39])).tolist()
    [0, 25, 97]

Components without phases fill, in proportion to their tokens, what the scheduled ones leave:

    >>> late = {"toxic": ((Fraction(1, 2), Fraction(0)), (Fraction(1, 2), Fraction(1)))}
    >>> both = schedules({"clean": 60, "toxic": 40}, late)
    >>> both["toxic"].due(np.array([0, 10])).tolist(), both["clean"].due(np.array([50])).tolist()
    ([50, 62], [50])
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.mixing.problem import Edit, Problem

Integers = npt.NDArray[np.int64]
Phases = tuple[tuple[Fraction, Fraction], ...]


@dataclass(frozen=True)
class Segment:
    """A straight piece: stream from `start` to `stop`, own tokens from `low` to `high`."""

    start: Fraction
    stop: Fraction
    low: Fraction
    high: Fraction

    @property
    def density(self) -> Fraction:
        """Own tokens per token of the stream."""
        return (self.high - self.low) / (self.stop - self.start)


@dataclass(frozen=True)
class Schedule:
    """Consecutive segments from (0, 0) to (W, T)."""

    segments: tuple[Segment, ...]

    @property
    def densities(self) -> tuple[Fraction, Fraction]:
        """Least and greatest density."""
        every = [segment.density for segment in self.segments]
        return min(every), max(every)

    def due(self, own: Integers) -> Integers:
        """
        Where in the stream the spans starting at these own tokens (each < T) are due, exactly.

        That is ⌊G(c)⌋ with G(c) = sup {E : F(E) ≤ c}: over a stretch without the component, its
        next span waits for the end of the stretch. Strictly increasing in c, as F rises by at
        most one per token.
        """
        result = np.empty(len(own), np.int64)
        for segment in self.segments:
            if segment.high == segment.low:
                continue
            first, last = np.searchsorted(own, [ceil(segment.low), ceil(segment.high)])
            slope = 1 / segment.density
            offset = segment.start - segment.low * slope
            result[first:last] = floor_line(own[first:last], slope, offset)
        return result


def schedules(tokens: Mapping[str, int], phases: Mapping[str, Phases]) -> dict[str, Schedule]:
    """The schedule of every component that has tokens; Problem if the phases ask too much."""
    stream = sum(tokens.values())
    present = {name: count for name, count in sorted(tokens.items()) if count}
    scheduled = {name: phases[name] for name in present if phases.get(name)}
    free = {name: count for name, count in present.items() if name not in scheduled}
    borders = sorted({Fraction(0), Fraction(1), *_borders(scheduled.values())})
    segments: dict[str, list[Segment]] = {name: [] for name in present}
    for start, stop in pairwise(borders):
        wanted = {
            name: present[name] * _mass(rows, start, stop) for name, rows in scheduled.items()
        }
        left = (stop - start) * stream - sum(wanted.values(), Fraction(0))
        if left < 0 or (left > 0 and not free):
            raise _misfit(scheduled, wanted, (stop - start) * stream, start, stop)
        for name, count in free.items():
            wanted[name] = left * Fraction(count, sum(free.values()))
        for name, amount in wanted.items():
            low = segments[name][-1].high if segments[name] else Fraction(0)
            segments[name].append(Segment(start * stream, stop * stream, low, low + amount))
    return {name: Schedule(tuple(pieces)) for name, pieces in segments.items()}


def _borders(rows: Any) -> set[Fraction]:
    found = set()
    for phases in rows:
        at = Fraction(0)
        for stretch, _ in phases:
            at += stretch
            found.add(at)
    return found


def _mass(phases: Phases, start: Fraction, stop: Fraction) -> Fraction:
    """The part of a component's tokens that its phases put between two points of the stream."""
    at, inside, whole = Fraction(0), Fraction(0), Fraction(0)
    for stretch, density in phases:
        overlap = min(stop, at + stretch) - max(start, at)
        inside += max(overlap, Fraction(0)) * density
        whole += stretch * density
        at += stretch
    return inside / whole


def _misfit(
    scheduled: Mapping[str, Phases],
    wanted: Mapping[str, Fraction],
    room: Fraction,
    start: Fraction,
    stop: Fraction,
) -> Problem:
    asked = sum((wanted[name] for name in scheduled), Fraction(0))
    place = f"from {_percent(start)} to {_percent(stop)} of the stream"
    what = "ask for more than there is room for" if asked > room else "leave part of it empty"
    return Problem(
        f"phases {what} {place}",
        [f"asked {round(asked):,} tokens, room {round(room):,}"],
        [Edit(f"component.{name}", "phases", "[]") for name in scheduled],
    )


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):.4g} %"


def floor_line(x: Integers, slope: Fraction, offset: Fraction) -> Integers:
    """
    ⌊slope · x + offset⌋, exactly, for results within ±2^50.

    A float guess is wrong by at most one; the remainder, small, is exact modulo 2^64 and says so.
    """
    under = lcm(slope.denominator, offset.denominator)
    a, b = int(slope * under), int(offset * under)
    if under >= 2**61:
        return np.array([(int(value) * a + b) // under for value in x], np.int64)
    guess = np.floor(x * (a / under) + b / under).astype(np.int64)
    rest = wrapped(x, a) + wrapped_constant(b) - wrapped(guess, under)
    signed = rest.view(np.int64)
    exact: Integers = guess + (signed >= under) - (signed < 0)
    return exact


def wrapped(x: Integers, factor: int) -> npt.NDArray[np.uint64]:
    """x · factor modulo 2^64."""
    product: npt.NDArray[np.uint64] = x.view(np.uint64) * wrapped_constant(factor)
    return product


def wrapped_constant(value: int) -> np.uint64:
    """A whole number modulo 2^64."""
    return np.uint64(value % 2**64)
