"""
Turn scores and labels into the numbers of a card, each with the interval that resampling gives.

    >>> import numpy as np
    >>> truth, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    >>> float(auroc(truth, scores)), round(float(average_precision(truth, scores)), 4)
    (0.75, 0.8333)
    >>> at_threshold(truth, scores, 0.35)
    {'precision': 0.6666666666666666, 'recall': 1.0, 'false_positive_rate': 0.5}
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from curate.taggers.calibrate import expected_error

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

RESAMPLES = 500


def auroc(truth: "npt.ArrayLike", scores: "npt.ArrayLike") -> float:
    """Chance that a toxic row scores above a clean one, ties half; NaN for one class."""
    import numpy as np

    true = np.asarray(truth, bool)
    _, place, count = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    n_toxic, n_clean = int(true.sum()), int((~true).sum())
    if not n_toxic or not n_clean:
        return float("nan")
    return float((ranks[true].sum() - n_toxic * (n_toxic + 1) / 2) / (n_toxic * n_clean))


def average_precision(truth: "npt.ArrayLike", scores: "npt.ArrayLike") -> float:
    """Mean precision over the recalls reached, ties taken whole; NaN without a toxic row."""
    import numpy as np

    true, score = np.asarray(truth, np.float64), np.asarray(scores, np.float64)
    if true.sum() == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))
    hits = np.cumsum(true[order])[last]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (last + 1)) / true.sum())


def at_threshold(
    truth: "npt.ArrayLike", scores: "npt.ArrayLike", threshold: float
) -> dict[str, float]:
    """Precision, recall and false-positive rate of score ≥ threshold; NaN where undefined."""
    import numpy as np

    true, flagged = np.asarray(truth, bool), np.asarray(scores) >= threshold

    def ratio(above: int, below: int) -> float:
        return above / below if below else float("nan")

    return {
        "precision": ratio(int((true & flagged).sum()), int(flagged.sum())),
        "recall": ratio(int((true & flagged).sum()), int(true.sum())),
        "false_positive_rate": ratio(int((~true & flagged).sum()), int((~true).sum())),
    }


def interval(
    measure: "Callable[[Array, Array], float]",
    truth: "npt.ArrayLike",
    scores: "npt.ArrayLike",
    *,
    seed: int,
    n_resamples: int = RESAMPLES,
) -> tuple[float, float, float]:
    """A measure of n rows, and the 2.5 and 97.5 % points of it over resampled rows."""
    import numpy as np

    true, score = np.asarray(truth, np.float64), np.asarray(scores, np.float64)
    draw = np.random.default_rng(seed)
    values = np.empty(n_resamples)
    for row in range(n_resamples):
        kept = draw.integers(0, len(true), len(true))
        values[row] = measure(true[kept], score[kept])
    low, high = np.nanquantile(values, [0.025, 0.975])
    return measure(true, score), float(low), float(high)


def report(
    truth: "npt.ArrayLike",
    scores: "npt.ArrayLike",
    *,
    thresholds: tuple[str, ...],
    seed: int,
    n_resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """
    What a card says of one set: counts, and measures as "value [low, high]" with three places.

    Measures that need both classes are left out where only one is there.
    """
    import numpy as np

    true = np.asarray(truth, bool)
    made: dict[str, Any] = {"n": len(true), "n_toxic": int(true.sum())}
    both = 0 < made["n_toxic"] < made["n"]

    def say(measure: "Callable[[Array, Array], float]") -> str:
        if np.isnan(measure(true.astype(np.float64), np.asarray(scores, np.float64))):
            return "undefined"
        value, low, high = interval(measure, true, scores, seed=seed, n_resamples=n_resamples)
        return f"{value:.3f} [{low:.3f}, {high:.3f}]"

    if both:
        made["auroc"] = say(auroc)
        made["average_precision"] = say(average_precision)
        made["ece"] = say(lambda t, s: expected_error(s, t))
    at: dict[str, dict[str, str]] = {}
    for threshold in thresholds:
        at[threshold] = {}
        for name in ("precision", "recall", "false_positive_rate"):
            if both or (name == "false_positive_rate" and made["n_toxic"] == 0):
                at[threshold][name] = say(
                    lambda t, s, name=name, threshold=threshold: at_threshold(  # type: ignore[misc]
                        t, s, float(threshold)
                    )[name]
                )
    return {**made, "at": at}
