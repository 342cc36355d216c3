"""
Turn flags of an imperfect classifier into the share of toxic text, with a defensible interval.

Of text flagged at a threshold, a part is not toxic; of what is toxic, a part is not flagged. With
the sensitivity and specificity measured on documents whose label is known, the true share is
(apparent + specificity − 1) / (sensitivity + specificity − 1) (Rogan and Gladen 1978), cut to
[0, 1]. The interval resamples whole threads on both sides: the documents of the component, and the
documents with a known label.

    >>> import numpy as np
    >>> known = Known(np.array([1, 1, 1, 0, 0, 0, 0, 0]), np.array([1, 1, 0, 1, 0, 0, 0, 0]))
    >>> found = toxic_share(np.array([1, 1, 0, 0, 0]), known=known, n_resamples=0)
    >>> found.apparent, found.sensitivity, found.specificity, found.share
    ('0.400000', '0.666667', '0.800000', '0.428571')
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.taggers.calibrate import decimal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    _Pairs = tuple[tuple[Floats, Floats], tuple[Floats, Floats]]

RESAMPLES = 1_000
LEVEL = Fraction(95, 100)
MOST_GROUPS = 4_096
"""More groups are first thrown together at random into so many: the spread stays as it is."""

AT_ONCE = 50
"""Resamples counted at once: what they take stays in the processor's cache."""


@dataclass(frozen=True)
class Known:
    """
    Documents whose label is known, each (n,): the truth and the classifier's flag, 0 or 1.

    `weights` is what each stands for (a stratified sample is not even), `groups` its thread.
    """

    truth: "npt.ArrayLike"
    flags: "npt.ArrayLike"
    weights: "npt.ArrayLike | None" = None
    groups: "npt.ArrayLike | None" = None


@dataclass(frozen=True)
class Share:
    """An estimated share; decimals as text. `share` is corrected where `sensitivity` is known."""

    unit: str  # documents | tokens
    apparent: str  # flagged, of all
    share: str
    low: str
    high: str
    method: str
    n_documents: int
    n_groups: int
    n_known: int = 0
    sensitivity: str = ""
    specificity: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values for the manifest's `estimates`: text and whole numbers."""
        return {key: value for key, value in asdict(self).items() if value != ""}


def rogan_gladen(apparent: "Floats", sensitivity: "Floats", specificity: "Floats") -> "Floats":
    """
    The true share behind an apparent one, cut to [0, 1]; elementwise.

    Where the classifier does not tell the classes apart (sensitivity + specificity ≤ 1) the
    apparent share says nothing, and the result is the apparent share itself.
    """
    import numpy as np

    told = sensitivity + specificity - 1
    useful = told > 0
    corrected = (apparent + specificity - 1) / np.where(useful, told, 1)
    return np.where(useful, np.clip(corrected, 0, 1), apparent)


def toxic_share(
    flags: "npt.ArrayLike",
    *,
    unit: str = "documents",
    tokens: "npt.ArrayLike | None" = None,
    groups: "npt.ArrayLike | None" = None,
    known: Known | None = None,
    selected: bool = False,
    seed: int = 0,
    n_resamples: int = RESAMPLES,
) -> Share:
    """
    The share of toxic documents (or of tokens in them) of n documents flagged 0 or 1.

    `tokens` are needed for unit tokens; `groups` (n,) are resampled whole, default each document.
    Without `known`, or where all of them are toxic or all clean, the share is the apparent one and
    its interval that of the sample alone; `method` says so.

    Where the documents were `selected` by the score that flags them (a component with
    `toxicity < 0.5`), sensitivity and specificity are not those of the source; then `known` must be
    of the selected documents too, and the share is the flagged part times the toxic share among
    known flagged ones, plus the rest times that among known others. Without selection both are one.
    """
    import numpy as np

    flag = np.asarray(flags, np.float64)
    if len(flag) == 0 or (unit == "tokens") != (tokens is not None):
        raise InputError("a share needs documents, and of tokens their counts")
    weight = np.ones(len(flag)) if tokens is None else np.asarray(tokens, np.float64)
    draw = np.random.default_rng(seed)
    (of_flagged, of_all), n_groups = _summed([flag * weight, weight], groups, draw)
    apparent = np.array([of_flagged.sum() / of_all.sum()])
    share = spread = apparent
    if known is not None or apparent[0] not in (0, 1):  # else every resample gives that as well
        more_flagged, more_of_all = _resampled([of_flagged, of_all], draw, n_resamples)
        spread = more_flagged / more_of_all
    method, n_known, accuracy = "apparent share; percentile bootstrap over groups", 0, ("", "")
    if known is not None:
        n_known = len(np.asarray(known.truth))
    one_sided = "" if known is None or selected else _one_sided(known)
    if one_sided:
        # Of toxic documents, or of clean ones, the classifier's errors were not seen.
        method = f"{method}; not corrected: {one_sided}"
    elif known is not None:
        method = "percentile bootstrap over groups of both samples"
        if selected:
            method = f"known shares of flagged and unflagged; {method}"
            (flagged, others), spreads = _predictive(known, draw, n_resamples)
            share = apparent * flagged + (1 - apparent) * others
            spread = spread * spreads[0] + (1 - spread) * spreads[1]
        else:
            method = f"Rogan-Gladen; {method}"
            (sensitivity, specificity), spreads = _accuracy(known, draw, n_resamples)
            share = rogan_gladen(apparent, sensitivity, specificity)
            spread = rogan_gladen(spread, *spreads)
            accuracy = (decimal(sensitivity[0]), decimal(specificity[0]))
    tail = float(1 - LEVEL) / 2
    low, high = np.quantile(spread, [tail, 1 - tail]) if n_resamples else (share[0], share[0])
    return Share(
        unit=unit,
        apparent=decimal(apparent[0]),
        share=decimal(share[0]),
        low=decimal(low),
        high=decimal(high),
        method=method,
        n_documents=len(flag),
        n_groups=n_groups,
        n_known=n_known,
        sensitivity=accuracy[0],
        specificity=accuracy[1],
    )


def mixed(shares: Sequence[Share], n_tokens: Sequence[int], *, unit: str) -> dict[str, str]:
    """
    The share of a mix from those of its components, by their amounts in `unit`.

    Components are independent, so half-widths add in squares, below and above apart.
    """
    import math

    total = sum(n_tokens)
    parts = [Fraction(n, total) for n in n_tokens]
    middle = sum(float(p) * float(each.share) for p, each in zip(parts, shares, strict=True))
    below = math.hypot(
        *(float(p) * (float(s.share) - float(s.low)) for p, s in zip(parts, shares, strict=True))
    )
    above = math.hypot(
        *(float(p) * (float(s.high) - float(s.share)) for p, s in zip(parts, shares, strict=True))
    )
    return {
        "unit": unit,
        "share": decimal(middle),
        "low": decimal(max(0.0, middle - below)),
        "high": decimal(min(1.0, middle + above)),
        "method": "components weighted by amount; independent intervals",
    }


def table(
    flagged: Mapping[str, int], amounts: Mapping[str, int], shares: Mapping[str, Share]
) -> list[dict[str, Any]]:
    """
    Source × label: of each source what was flagged (counted) and what is toxic (estimated).

    4chan is not all toxic and C4 not all clean; the two columns of counts sum to the amount.
    """
    return [
        {
            "source": name,
            "flagged": flagged[name],
            "not_flagged": amounts[name] - flagged[name],
            "toxic": str(round(amounts[name] * Fraction(shares[name].share))),
            "not_toxic": str(amounts[name] - round(amounts[name] * Fraction(shares[name].share))),
        }
        for name in sorted(amounts)
    ]


def _one_sided(known: Known) -> str:
    """What the known documents lack for measuring both kinds of error; "" if nothing."""
    truth, _, weight = _columns(known)
    for name, share in (("toxic", truth), ("clean", 1 - truth)):
        if (weight * share).sum() == 0:
            return f"no document with a known label is {name}"
    return ""


def _accuracy(known: Known, draw: "np.random.Generator", n_resamples: int) -> "_Pairs":
    """Sensitivity and specificity (1,), and their resamples."""
    truth, flag, weight = _columns(known)
    toxic, clean = weight * truth, weight * (1 - truth)
    return _ratios([toxic * flag, toxic, clean * (1 - flag), clean], known, draw, n_resamples)


def _predictive(known: Known, draw: "np.random.Generator", n_resamples: int) -> "_Pairs":
    """Toxic share among known flagged and among other documents (1,), and their resamples."""
    truth, flag, weight = _columns(known)
    flagged, others = weight * flag, weight * (1 - flag)
    return _ratios([flagged * truth, flagged, others * truth, others], known, draw, n_resamples)


def _columns(known: Known) -> "tuple[Floats, Floats, Floats]":
    import numpy as np

    truth = np.asarray(known.truth, np.float64)
    weight = np.ones(len(truth)) if known.weights is None else np.asarray(known.weights, np.float64)
    return truth, np.asarray(known.flags, np.float64), weight


def _ratios(
    columns: "Sequence[Floats]", known: Known, draw: "np.random.Generator", n_resamples: int
) -> "_Pairs":
    """Σ first / Σ second and Σ third / Σ fourth (1,), and the same of each resample."""
    import numpy as np

    sums, _ = _summed(columns, known.groups, draw)
    resampled = _resampled(sums, draw, n_resamples)
    found, spreads = [], []
    for n in (0, 2):
        whole = sums[n + 1].sum()
        value = np.array([sums[n].sum() / whole if whole > 0 else 0.0])
        above, below = resampled[n], resampled[n + 1]
        # A resample with nothing to divide by tells nothing: it keeps the value found.
        spreads.append(np.where(below > 0, above / np.where(below > 0, below, 1), value))
        found.append(value)
    return (found[0], found[1]), (spreads[0], spreads[1])


def _summed(
    columns: "Sequence[Floats]", groups: "npt.ArrayLike | None", draw: "np.random.Generator"
) -> "tuple[list[Floats], int]":
    """Sums of each column over the groups, and how many groups there are."""
    import numpy as np

    if groups is None:
        member, n_groups = np.arange(len(columns[0])), len(columns[0])
    else:
        _, member = np.unique(np.asarray(groups), return_inverse=True)
        n_groups = int(member.max()) + 1
    if n_groups > MOST_GROUPS:
        member = (draw.permutation(n_groups) % MOST_GROUPS)[member]
    sums = [np.bincount(member, weights=column).astype(np.float64) for column in columns]
    return sums, n_groups


def _resampled(sums: "Sequence[Floats]", draw: "np.random.Generator", n_resamples: int) -> "Floats":
    """Each of the sums over as many groups drawn with replacement: (len(sums), n_resamples)."""
    import numpy as np

    n = len(sums[0])
    columns = np.stack(sums)
    totals = np.empty((len(sums), n_resamples))
    for first in range(0, n_resamples, AT_ONCE):
        some = min(AT_ONCE, n_resamples - first)
        drawn = draw.integers(n, size=(some, n)) + np.arange(some)[:, None] * n
        times = np.bincount(drawn.ravel(), minlength=some * n).reshape(some, n)
        totals[:, first : first + some] = columns @ times.T
    return totals
