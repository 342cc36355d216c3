"""
Turn a rule such as `top 5 % of tokens` into a threshold: one float32 score, and what it achieves.

    >>> import numpy as np
    >>> scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1], np.float32)
    >>> resolve_threshold("top 40 % of documents", scores).threshold
    '0.8'
    >>> truth = np.array([1, 1, 0, 1, 0])
    >>> found = resolve_threshold("precision >= 0.75", scores, truth=truth)
    >>> found.threshold, found.precision, found.recall
    ('0.2', '0.750000', '1.000000')

Rules: `top P of tokens | documents`, `precision >= P`, `recall >= P`; P is `5 %`, `0.05` or `1/20`.
"""

import re
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from curate.errors import InfeasibleError, RecipeError
from curate.taggers.calibrate import decimal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_RULE = re.compile(
    r"\s*(?:top\s+(?P<top>.+?)\s+of\s+(?P<unit>tokens|documents)"
    r"|(?P<measure>precision|recall)\s*>=\s*(?P<least>.+?))\s*"
)


@dataclass(frozen=True)
class Threshold:
    """A rule's outcome; all numbers as text. `score >= threshold`, compared as float32."""

    rule: str
    threshold: str  # shortest decimal that is this float32
    share_of_documents: str
    share_of_tokens: str
    precision: str = ""  # only where the truth is known
    recall: str = ""

    def as_json(self) -> dict[str, str]:
        """The fields that are known."""
        return {key: value for key, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Rule:
    """A parsed rule: `kind` is tokens, documents, precision or recall."""

    kind: str
    value: Fraction


def parse_rule(text: str) -> Rule:
    """A rule as written; RecipeError with the ones there are."""
    found = _RULE.fullmatch(text)
    value = _fraction(found["top"] or found["least"]) if found else None
    if found is None or value is None or not 0 < value <= 1:
        raise RecipeError(
            f'"{text}" is not a rule for a threshold',
            hint='Write "top 5 % of tokens", "top 5 % of documents", "precision >= 0.9" or '
            '"recall >= 0.9".',
        )
    return Rule(found["unit"] or found["measure"], value)


def resolve_threshold(
    rule: str,
    scores: "npt.NDArray[np.float32]",
    *,
    truth: "npt.ArrayLike | None" = None,
    tokens: "npt.ArrayLike | None" = None,
    weights: "npt.ArrayLike | None" = None,
) -> Threshold:
    """
    The lowest score at which a rule holds for n documents, ties taken whole.

    `tokens` (default 1 each) count for `top P of tokens`; `truth` (0 or 1) is needed for precision
    and recall; `weights` say how many documents each stands for. `recall >= P` gives the highest
    such score instead, since recall only falls. Raises InfeasibleError if no score will do.
    """
    import numpy as np

    parsed = parse_rule(rule)
    given = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    n_tokens = given if tokens is None else given * np.asarray(tokens, np.float64)
    true = None if truth is None else given * (np.asarray(truth) > 0)
    if parsed.kind in ("precision", "recall") and true is None:
        raise RecipeError(
            f'"{rule}" needs documents whose label is known',
            hint='Add a tagger with calibrates = "…", or give a number.',
        )
    if len(scores) == 0:
        raise InfeasibleError(f'"{rule}" of no documents')
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.float32(-1)))  # ends of ties
    documents, of_tokens = np.cumsum(given[order])[last], np.cumsum(n_tokens[order])[last]
    hits = np.cumsum(true[order])[last] if true is not None else None
    if parsed.kind in ("tokens", "documents"):
        taken = of_tokens if parsed.kind == "tokens" else documents
        holds = np.flatnonzero(taken <= float(parsed.value * Fraction(taken[-1])))
        place = int(holds[-1]) if len(holds) else -1
    elif hits is not None and parsed.kind == "precision":
        holds = np.flatnonzero(hits / documents >= float(parsed.value))
        place = int(holds[-1]) if len(holds) else -1
    else:
        reached = np.zeros(0) if hits is None or hits[-1] == 0 else hits / hits[-1]
        holds = np.flatnonzero(reached >= float(parsed.value))
        place = int(holds[0]) if len(holds) else -1
    if place < 0:
        raise InfeasibleError(f'no threshold gives "{rule}"', hint="Ask for less, or add data.")
    known = hits is not None and hits[-1] > 0
    return Threshold(
        rule=rule,
        threshold=str(scores[order][last[place]]),
        share_of_documents=decimal(documents[place] / documents[-1]),
        share_of_tokens=decimal(of_tokens[place] / of_tokens[-1]),
        precision=decimal(hits[place] / documents[place]) if known and hits is not None else "",
        recall=decimal(hits[place] / hits[-1]) if known and hits is not None else "",
    )


def _fraction(text: str) -> Fraction | None:
    percent = text.endswith("%")
    try:
        value = Fraction(text.rstrip("% ").replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        return None
    return value / 100 if percent else value
