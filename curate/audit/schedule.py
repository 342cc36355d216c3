"""
Turn shares and phases into where in the stream each token of a component is due, in exact numbers.

A schedule F is what of a component should have come by token E: a straight line, or, with phases,
one that bends; components without phases share what the others leave (docs/format.md §4).

    >>> import numpy as np
    >>> even = schedules({"clean": 60, "toxic": 40}, {})
    >>> due(even["toxic"], np.array([0, 10, 39])).tolist()
    [0, 25, 97]
    >>> late = [(Fraction(1, 2), Fraction(0)), (Fraction(1, 2), Fraction(1))]
    >>> bent = schedules({"clean": 60, "toxic": 40}, {"toxic": late})
    >>> due(bent["toxic"], np.array([0, 10])).tolist()
    [50, 62]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, lcm
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Positions = npt.NDArray[np.int64]

Phases = Sequence[tuple[Fraction, Fraction]]
"""(stretch of the stream, relative density), stretches adding up to 1."""


@dataclass(frozen=True)
class Piece:
    """A straight piece of F: from `start` to `stop` of the stream it rises from low to high."""

    start: Fraction
    stop: Fraction
    low: Fraction
    high: Fraction

    @property
    def slope(self) -> Fraction:
        """Own tokens per token of the stream."""
        return (self.high - self.low) / (self.stop - self.start)


def schedules(totals: Mapping[str, int], phases: Mapping[str, Phases]) -> dict[str, list[Piece]]:
    """The schedule of every component that has tokens."""
    totals = {name: total for name, total in sorted(totals.items()) if total}
    whole = sum(totals.values())
    bent = {name: phases[name] for name in totals if phases.get(name)}
    edges = {Fraction(0), Fraction(1)}
    for stretches in bent.values():
        edges |= {sum((s for s, _ in stretches[:n]), Fraction(0)) for n in range(len(stretches))}
    free = sum(total for name, total in totals.items() if name not in bent)
    pieces: dict[str, list[Piece]] = {name: [] for name in totals}
    for left, right in pairwise(sorted(edges)):
        amounts = {name: totals[name] * _part(bent[name], left, right) for name in bent}
        rest = (right - left) * whole - sum(amounts.values())
        for name, total in totals.items():
            low = pieces[name][-1].high if pieces[name] else Fraction(0)
            amount = amounts.get(name, rest * total / free if free else Fraction(0))
            pieces[name].append(Piece(left * whole, right * whole, low, low + amount))
    return pieces


def _part(stretches: Phases, left: Fraction, right: Fraction) -> Fraction:
    """The part of a component's tokens that its phases put between two points of the stream."""
    weight, inside, at = sum(s * d for s, d in stretches), Fraction(0), Fraction(0)
    for stretch, density in stretches:
        inside += max(min(right, at + stretch) - max(left, at), Fraction(0)) * density
        at += stretch
    return Fraction(inside, weight)


def due(pieces: list[Piece], positions: "Positions") -> "Positions":
    """⌊sup {E : F(E) ≤ c}⌋ of rising positions c, each below the component's tokens."""
    import numpy as np

    found = np.zeros(len(positions), dtype=np.int64)
    for piece in pieces:
        if piece.slope:
            first, last = np.searchsorted(positions, [ceil(piece.low), ceil(piece.high)])
            steps = 1 / piece.slope
            offset = piece.start - piece.low * steps
            found[first:last] = _floor_line(positions[first:last], steps, offset)
    return found


def _floor_line(x: "Positions", slope: Fraction, offset: Fraction) -> "Positions":
    """⌊slope·x + offset⌋: a float guesses to within one, whole numbers modulo 2^64 decide."""
    import numpy as np

    under = lcm(slope.denominator, offset.denominator)
    over, start = int(slope * under), int(offset * under)
    if under >= 2**61:
        return np.array([(c * over + start) // under for c in x.tolist()], dtype=np.int64)
    guess = np.floor(x.astype(np.longdouble) * over / under + np.longdouble(start) / under)
    floor: Positions = guess.astype(np.int64)
    words = (x.view(np.uint64) * np.uint64(over % 2**64) + np.uint64(start % 2**64)) - (
        floor.view(np.uint64) * np.uint64(under)
    )
    rest = words.view(np.int64)
    return floor + (rest >= under).astype(np.int64) - (rest < 0).astype(np.int64)


def largest_deviation(
    pieces: Mapping[str, list[Piece]], components: "npt.NDArray[np.object_]", lengths: "Positions"
) -> tuple[Fraction, str, int]:
    """
    Value, component and token of the largest |F(E) − e| over all span ends E.

    Of equal ones the first in the stream counts, then the first by name; (0, first name, 0) where
    nothing deviates. `components` (names) and `lengths` are those of the spans, shape (n,).
    """
    import numpy as np

    ends = np.cumsum(lengths)
    best: tuple[Fraction, int, str] = (Fraction(0), 0, min(pieces, default=""))
    for name in sorted(pieces):
        own = np.cumsum(np.where(components == name, lengths, 0))
        for piece in pieces[name]:
            first, last = np.searchsorted(ends, [float(piece.start), float(piece.stop)])
            there = slice(int(first), int(last) + 1)
            rough = np.abs(
                (ends[there] - float(piece.start)) * float(piece.slope)
                + float(piece.low)
                - own[there]
            )
            # Floats only say which places are worth an exact look: they are right to below 1/8.
            for at in np.flatnonzero(rough >= rough.max(initial=0.0) - 0.125).tolist():
                end, e = int(ends[there][at]), int(own[there][at])
                if piece.start <= end <= piece.stop:
                    exact = abs((end - piece.start) * piece.slope + piece.low - e)
                    if exact > best[0] or (exact == best[0] > 0 and (end, name) < best[1:]):
                        best = (exact, end, name)
    value, at, name = best
    return value, name, at


def bound(
    pieces: Mapping[str, list[Piece]], name: str, longest: int, whole: int, by_source: bool
) -> Fraction:
    """How far component `name` may be off its schedule (DESIGN §2.7; with phases, by slopes)."""
    if name not in pieces:
        return Fraction(0)
    slopes = [piece.slope for piece in pieces[name]]
    least, most = min(slopes), max(slopes)
    if by_source:
        return most * (1 - least) * whole
    return max((1 - least) * (longest + most), most * ((len(pieces) - 1) * longest + 1))
