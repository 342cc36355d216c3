"""
Turn pairs of a cheap score and a dear one into a map that says what the cheap one is worth.

The map is isotonic: the non-decreasing function nearest to the pairs in (weighted) squares, found
by pooling adjacent violators (Ayer et al. 1955). It is flat inside a pool and linear between pools.
The band around it comes from refitting it on resampled groups: whole threads, since posts of one
thread resemble one another.

    >>> import numpy as np
    >>> cheap = np.array([0.1, 0.2, 0.3, 0.4, 0.9], np.float32)
    >>> fitted = fit(cheap, np.array([0.0, 0.4, 0.2, 0.6, 1.0]))
    >>> [f"{value:.2f}" for value in fitted.apply(np.array([0.0, 0.25, 0.35, 1.0], np.float32))]
    ['0.00', '0.30', '0.45', '1.00']
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, IntegrityError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Scores = npt.NDArray[np.float32]

FORMAT = "curate-calibration/1"
GRID = 101
"""Points from 0 to 1 at which a band is recorded."""


@dataclass(frozen=True)
class Calibration:
    """`y` at the cheap scores `x` (ascending); `low` and `high` at `GRID` points from 0 to 1."""

    x: "Floats"
    y: "Floats"
    low: "Floats"
    high: "Floats"
    n_pairs: int
    n_groups: int

    def apply(self, scores: "Scores") -> "Scores":
        """Calibrated scores: float32 of the same shape, non-decreasing in the cheap score."""
        import numpy as np

        return np.interp(scores.astype(np.float64), self.x, self.y).astype(np.float32)

    def as_json(self) -> dict[str, Any]:
        """Plain values without floats: decimals as text, so that canonical JSON takes them."""
        return {
            "format": FORMAT,
            "n_pairs": self.n_pairs,
            "n_groups": self.n_groups,
            **{
                name: [format(value, ".9g") for value in getattr(self, name)]
                for name in ("x", "y", "low", "high")
            },
        }

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> "Calibration":
        """The calibration that `as_json` wrote; IntegrityError if it is not one."""
        import numpy as np

        if made.get("format") != FORMAT:
            raise IntegrityError("not a calibration")
        arrays = {
            name: np.array([float(value) for value in made[name]])
            for name in ("x", "y", "low", "high")
        }
        for name in ("x", "y"):
            if not (np.diff(arrays[name]) >= 0).all():
                raise IntegrityError(f"a calibration whose {name} decreases")
        return cls(**arrays, n_pairs=made["n_pairs"], n_groups=made["n_groups"])


def isotonic(
    x: "npt.ArrayLike", y: "npt.ArrayLike", weights: "npt.ArrayLike | None" = None
) -> "tuple[Floats, Floats]":
    """
    Knots (x, y) of the non-decreasing map nearest to n points, by pooled adjacent violators.

    Points with equal x are one point with their mean. A pool gives two knots, its ends.
    """
    import numpy as np

    xs, inverse = np.unique(np.asarray(x, np.float64), return_inverse=True)
    given = np.ones(len(inverse)) if weights is None else np.asarray(weights, np.float64)
    weight = np.bincount(inverse, weights=given, minlength=len(xs))
    level = np.bincount(inverse, weights=given * np.asarray(y, np.float64)) / weight
    levels: list[float] = []
    masses: list[float] = []
    firsts: list[int] = []
    for place, (value, mass) in enumerate(zip(level.tolist(), weight.tolist(), strict=True)):
        first = place
        while levels and levels[-1] >= value:
            total = masses[-1] + mass
            value = (levels.pop() * masses[-1] + value * mass) / total
            masses.pop()
            mass, first = total, firsts.pop()
        levels.append(value)
        masses.append(mass)
        firsts.append(first)
    lasts = [*(first - 1 for first in firsts[1:]), len(xs) - 1]
    ends = np.stack([xs[firsts], xs[lasts]], axis=1).ravel()
    heights = np.repeat(np.array(levels), 2)
    keep = np.concatenate(([True], (np.diff(ends) > 0) | (np.diff(heights) > 0)))
    return ends[keep], heights[keep]


def fit(
    cheap: "Scores",
    dear: "npt.ArrayLike",
    *,
    weights: "npt.ArrayLike | None" = None,
    groups: "npt.ArrayLike | None" = None,
    seed: int = 0,
    n_resamples: int = 200,
) -> Calibration:
    """
    The calibration of n pairs: `cheap` float32, `dear` in [0, 1] (a score, or 0 and 1).

    `weights` are what each pair stands for, `groups` what is resampled whole (default: each pair).
    The band holds 95 % of the refitted maps at each point. InputError without pairs.
    """
    import numpy as np

    dears = np.asarray(dear, np.float64)
    if len(dears) == 0 or not ((dears >= 0) & (dears <= 1)).all():
        raise InputError("nothing to calibrate with: no pairs, or scores outside 0 to 1")
    given = np.ones(len(dears)) if weights is None else np.asarray(weights, np.float64)
    _, member = np.unique(
        np.arange(len(dears)) if groups is None else np.asarray(groups), return_inverse=True
    )
    n_groups = int(member.max()) + 1
    x, y = isotonic(cheap, dears, given)
    grid = np.linspace(0, 1, GRID)
    draw = np.random.default_rng(seed)
    refitted = np.empty((n_resamples, GRID))
    for row in range(n_resamples):
        times = np.bincount(draw.integers(0, n_groups, n_groups), minlength=n_groups)[member]
        kept = times > 0
        refitted[row] = np.interp(grid, *isotonic(cheap[kept], dears[kept], (given * times)[kept]))
    low, high = (
        np.quantile(refitted, [0.025, 0.975], axis=0)
        if n_resamples
        else np.stack([np.interp(grid, x, y)] * 2)
    )
    return Calibration(x, y, low, high, len(dears), n_groups)


def expected_error(
    scores: "npt.ArrayLike", truth: "npt.ArrayLike", weights: "npt.ArrayLike | None" = None
) -> float:
    """
    Expected calibration error: mean of |mean truth − mean score| over 15 bins of equal count.

    Bins are weighted by what falls into them (Naeini et al. 2015, adaptive bins).
    """
    import numpy as np

    score, true = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    given = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    order = np.argsort(score, kind="stable")
    total = 0.0
    for part in np.array_split(order, 15):
        mass = given[part].sum()
        if mass > 0:
            total += abs((given[part] * (true[part] - score[part])).sum())
    return float(total / given.sum())


def sampled(
    scores: "Scores", drawn: "npt.NDArray[np.uint64]", n: int
) -> "tuple[npt.NDArray[np.int64], Floats]":
    """
    A sample of about n rows, even over ten bands of score: row numbers and what each stands for.

    `drawn` is one pseudo-random number per row (see `numbers`); the smallest of each band are
    taken, so the sample does not depend on the order of rows, and a larger one holds a smaller one
    up to the bands' shares. A band with fewer rows than its part leaves the rest to the others.
    """
    import numpy as np

    band = np.minimum((scores.astype(np.float64) * 10).astype(np.int64), 9)
    members = [np.flatnonzero(band == each) for each in range(10)]
    members = sorted((rows for rows in members if len(rows)), key=len)
    left, chosen, weights = min(n, len(scores)), [], []
    for place, rows in enumerate(members):
        take = min(len(rows), -(-left // (len(members) - place)))
        left -= take
        if take:
            chosen.append(rows[np.argsort(drawn[rows], kind="stable")[:take]])
            weights.append(np.full(take, len(rows) / take))
    if not chosen:
        return np.empty(0, np.int64), np.empty(0)
    picked, stands = np.concatenate(chosen), np.concatenate(weights)
    order = np.argsort(picked, kind="stable")
    return picked[order], stands[order]


def numbers(words: "npt.NDArray[np.uint64]", seed: int) -> "npt.NDArray[np.uint64]":
    """
    One pseudo-random uint64 per document from its key: `document.key_words`, shape (n, 2).

    As the rank of docs/format.md §4, with `curate-sample-1` in place of `curate-rank-1`.
    """
    import hashlib

    import numpy as np

    start = hashlib.sha256(f"curate-sample-1\0{seed}".encode()).digest()[:8]
    mixed = words[:, 0] ^ np.uint64(int.from_bytes(start, "little"))
    return _mixed(_mixed(mixed) ^ words[:, 1])


def _mixed(x: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def decimal(value: Fraction | float) -> str:
    """A number of an estimate as text with six places: manifests hold no floats."""
    return format(float(value), ".6f")
