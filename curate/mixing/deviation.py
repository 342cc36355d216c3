"""
Turn a stream of spans into the largest amount by which any component was ever off its share.

    >>> from curate.mixing.phases import schedules
    >>> meter = Meter(["clean", "toxic"], schedules({"clean": 60, "toxic": 40}, {}))
    >>> meter.add(np.array([0, 1, 0, 1]), np.array([30, 20, 30, 20]))
    >>> meter.result(longest=30)["value"], meter.result(longest=30)["at"]
    ('12/1', 30)

The deviation of component i after E tokens is |F_i(E) − e_i|, a fraction; the meter looks at every
span end and keeps the first largest (ties: the first name). It is exact: the numerators are
computed modulo 2^64, and are small by the bound that `order` proves.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.mixing.phases import Integers, Schedule, Segment, wrapped, wrapped_constant


class Meter:
    """Sees the spans of an arm in order."""

    def __init__(self, names: Sequence[str], schedules: Mapping[str, Schedule]) -> None:
        self.names = list(names)
        self.schedules = [schedules.get(name) for name in names]
        self.own = [0] * len(names)
        self.end = 0
        self.value = Fraction(0)
        self.at = 0
        self.component = min(schedules, default=min(names, default=""))

    def add(self, component: npt.NDArray[Any], n_tokens: npt.NDArray[Any]) -> None:
        """The next spans: number of the component (in `names`) and tokens of each."""
        ends = self.end + np.cumsum(n_tokens, dtype=np.int64)
        best: list[tuple[Fraction, int, str]] = []
        for number, schedule in enumerate(self.schedules):
            if schedule is None:
                continue
            mine = np.where(component == number, n_tokens, 0)
            own = self.own[number] + np.cumsum(mine, dtype=np.int64)
            self.own[number] = int(own[-1])
            for segment in schedule.segments:
                first, last = np.searchsorted(ends, [ceil(segment.start), ceil(segment.stop)])
                if segment is schedule.segments[-1]:
                    last = len(ends)
                if first < last:
                    found, place = _largest(segment, ends[first:last], own[first:last])
                    best.append((found, -int(ends[first + place]), self.names[number]))
        self.end = int(ends[-1])
        value, earliest, _ = max(best)
        if value > self.value:
            self.value, self.at = value, -earliest
            self.component = min(name for v, e, name in best if (v, e) == (value, earliest))

    def result(self, longest: int, *, by_source: bool = False) -> dict[str, Any]:
        """DEVIATION of docs/format.md §3.4, with the bound that holds for its component."""
        where = self.names.index(self.component) if self.component else -1
        schedule = self.schedules[where] if where >= 0 else None
        bound = Fraction(0)
        if schedule is not None:
            k = sum(s is not None for s in self.schedules)
            least, greatest = schedule.densities
            bound = max((1 - least) * (longest + greatest), greatest * ((k - 1) * longest + 1))
            if by_source:
                bound = greatest * (1 - least) * self.end
        return {
            "value": _text(self.value),
            "component": self.component,
            "at": self.at,
            "bound": _text(bound),
        }


def _text(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _largest(segment: Segment, ends: Integers, own: Integers) -> tuple[Fraction, int]:
    """Largest |F(E) − e| over a segment, and its first place."""
    slope = segment.density
    offset = segment.low - segment.start * slope
    under = lcm(slope.denominator, offset.denominator)
    a, b = int(slope * under), int(offset * under)
    # |F(E) − e| ≤ E, and E · under is the most a numerator can be.
    if int(ends[-1]) * under < 2**62:
        over = np.abs((wrapped(ends, a) + wrapped_constant(b) - wrapped(own, under)).view(np.int64))
    else:
        guess = np.abs(ends * (a / under) + b / under - own)
        if (float(guess.max()) + 2) * under < 2**62:
            rest = wrapped(ends, a) + wrapped_constant(b) - wrapped(own, under)
            over = np.abs(rest.view(np.int64))
        else:
            exact = [abs(int(e) * a + b - int(o) * under) for e, o in zip(ends, own, strict=True)]
            place = max(range(len(exact)), key=lambda n: (exact[n], -n))
            return Fraction(exact[place], under), place
    place = int(np.argmax(over))
    return Fraction(int(over[place]), under), place
