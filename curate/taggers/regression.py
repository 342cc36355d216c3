"""
Turn weighted lines into the logistic regression that fits them best, as weights for fastText.

fastText learns by passing over the lines a few times; what it computes for two labels is a
regression on the mean of a line's words, pieces and pairs of words, and that has one best
solution. It is found here (L-BFGS).

    >>> import numpy as np
    >>> bowl = lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3))
    >>> minimised(bowl, np.zeros(2), rounds=5).round(6).tolist()
    [3.0, 3.0]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.taggers import features

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

_REMEMBERED = 10  # steps that L-BFGS keeps
_CURVATURE = 0.1  # of the logistic loss, about: at most 1/4

_STEP = 2.0**-8
"""Weights are multiples of that, so that the last bits of a processor's sums do not show."""


@dataclass(frozen=True)
class Told:
    """A `[regression]` of a training recipe."""

    bucket: int  # pieces and pairs share that many weights, by their hash
    penalty: float  # half of it times the squared weights is added to the loss
    rounds: int  # of L-BFGS


@dataclass(frozen=True)
class Table:
    """Which of `n` features are at the places of lines: those of line i from `starts[i]` on."""

    of: "Ints"
    starts: "Ints"
    n: int

    @property
    def lengths(self) -> "Ints":
        """Features of each line."""
        import numpy as np

        return np.diff(np.append(self.starts, len(self.of)))


@dataclass(frozen=True)
class Model:
    """Weights of words, frequent ones first, and of the buckets of pieces and pairs, (bucket,)."""

    words: dict[str, float]
    buckets: "Floats"


def fitted(lines: Sequence[str], toxic: "Floats", weights: "Floats", told: Told) -> Model:
    """The model of n lines with the share of toxic labels and the weight of each, (n,)."""
    import numpy as np

    found = features.counted(lines, buckets=told.bucket)
    table = Table(found.of, found.starts, len(found.words) + told.bucket)
    final = np.round(solved(table, toxic, weights, told) / _STEP) * _STEP
    own, buckets = np.split(final, [len(found.words)])
    order = np.argsort(-np.bincount(found.of)[: len(own)], kind="stable")
    return Model({found.words[at]: float(own[at]) for at in order}, buckets)


def solved(table: Table, toxic: "Floats", weights: "Floats", told: Told) -> "Floats":
    """One weight per feature, (table.n,): a line's mean weight is its log odds of toxic."""
    import numpy as np

    share = 1 / table.lengths
    line = np.repeat(np.arange(len(share)), table.lengths)

    def means(each: "Floats") -> "Floats":
        return share * np.add.reduceat(each[table.of], table.starts)

    def summed(each: "Floats") -> "Floats":
        return np.bincount(table.of, weights=each[line], minlength=table.n).astype(np.float64)

    # Rare features would move little per step if each were not measured by its own curvature.
    scale = (_CURVATURE * summed(share**2 * weights) + told.penalty) ** -0.5

    def loss(point: "Floats") -> "tuple[float, Floats]":
        own = point * scale
        odds = means(own)
        off = weights * (1 / (1 + np.exp(-odds)) - toxic)
        value = (weights * (np.logaddexp(0, odds) - toxic * odds)).sum()
        slope = summed(share * off) + told.penalty * own
        return float(value + told.penalty / 2 * (own * own).sum()), slope * scale

    return minimised(loss, np.zeros(table.n), rounds=told.rounds) * scale


def minimised(
    function: "Callable[[Floats], tuple[float, Floats]]", start: "Floats", *, rounds: int
) -> "Floats":
    """
    Where a smooth convex function (value, gradient) is least, by at most `rounds` of L-BFGS.

    The two-loop recursion of Nocedal and Wright (2006), algorithm 7.4, halving steps until the
    value falls as much as a hundredth of a percent of what the slope promised.
    """
    import numpy as np

    point = start
    value, slope = function(point)
    steps: list[tuple[Floats, Floats, float]] = []
    for _ in range(rounds):
        way = -slope
        used = []
        for step, change, inner in reversed(steps):
            used.append((step * way).sum() / inner)
            way = way - used[-1] * change
        if steps:
            _, change, inner = steps[-1]
            way = way * (inner / (change * change).sum())
        else:
            way = way / np.sqrt((slope * slope).sum())
        for (step, change, inner), share in zip(steps, reversed(used), strict=True):
            way = way + step * (share - (change * way).sum() / inner)
        promised = (way * slope).sum()
        length = 1.0
        while True:
            reached = point + length * way
            there, slope_there = function(reached)
            if there <= value + 1e-4 * length * promised:
                break
            length /= 2
            if length < 1e-12:
                return point
        change = slope_there - slope
        step = reached - point
        inner = (step * change).sum()
        if inner > 0:
            steps = [*steps[1 - _REMEMBERED :], (step, change, inner)]
        point, value, slope = reached, there, slope_there
    return point
