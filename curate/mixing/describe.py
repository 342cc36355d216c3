"""
Turn what was planned into the numbers of plan.json: docs/format.md §3.4.

Law (complete), per source and arm, every row of the pool counted once:

    n_read = n_superseded + n_empty + n_held_out + dropped + n_overlapping + n_unused + n_used

and n_removed, where documents were taken down before.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.mixing.census import Count
from curate.mixing.draw import Draw, distinct
from curate.mixing.gather import words
from curate.mixing.planner import ArmDraws, Attempt, Planner
from curate.mixing.scratch import Rows
from curate.mixing.uses import Use, present
from curate.mixing.where import KEPT
from curate.recipe.model import TOTAL, Recipe
from curate.recipe.where import Clause


def fraction(over: int, under: int) -> str:
    """An exact quotient as "n/d" in lowest terms; of nothing, "0/1"."""
    return text_of(Fraction(over, under) if under else Fraction(0))


def text_of(value: Fraction) -> str:
    """A fraction as "n/d"."""
    return f"{value.numerator}/{value.denominator}"


def sources(planner: Planner, held: Rows) -> dict[str, Any]:
    """What became of each source's rows before any arm."""
    return {
        name: {
            "n_read": planner.gathered.n_read[number],
            "n_superseded": planner.tally.n_superseded[number],
            "n_held_out": int((held["source"] == number).sum()),
            "n_empty": planner.tally.n_empty[number],
            **_removed(planner.gathered.n_removed[number]),
        }
        for number, name in enumerate(planner.gathered.sources)
    }


def _removed(n: int) -> dict[str, int]:
    return {"n_removed": n} if n else {}


def arm(
    planner: Planner,
    attempt: Attempt,
    arm: ArmDraws,
    names: Sequence[str],
    written: Mapping[str, Any],
) -> dict[str, Any]:
    """The object of one arm."""
    by_name = {use.name: use for use in arm.uses}
    components = []
    for name in names:
        use, draw = by_name[name], arm.draws[name]
        entry = _component(use, draw, attempt, arm)
        entry |= _drawn(draw, written["n_tokens"])
        components.append(entry)
    used = _sources(planner, attempt, arm)
    return {
        "name": arm.arm.name,
        "settings": dict(arm.arm.settings),
        "seed": arm.arm.seed,
        **written,
        "n_documents": sum(source["n_used"] for source in used.values()),
        "components": components,
        "sources": used,
    }


def _component(use: Use, draw: Draw, attempt: Attempt, arm: ArmDraws) -> dict[str, Any]:
    amount = arm.amounts[use.name]
    counted = attempt.ground.census
    eligible = counted.pools[use.pool]
    delivered = {
        "tokens": draw.n_tokens,
        "documents": draw.n_spans,
        "bytes": draw.n_bytes,
    }[amount.unit]
    entry = {
        "name": use.name,
        "source": use.component.source,
        "unit": amount.unit,
        "requested": amount.requested,
        "residual": delivered - amount.requested,
        "eligible": _totals(eligible),
        "epochs": fraction(draw.n_tokens, eligible.tokens),
        "dropped": _dropped(
            use.component.where, counted.outcomes[use.pool.selection], eligible.documents
        ),
        "n_unused": eligible.documents - draw.n_documents,
    }
    told = use.slot.budget
    if not use.stands_for and told is not None and told.kind == "share" and use.slot.of != TOTAL:
        entry["of"] = use.slot.of
    if use.stands_for:
        entry["component"] = use.component.name
        entry["stands_for"] = use.stands_for
    if use.component.where:
        entry["where"] = " and ".join(clause.text for clause in use.component.where)
    if use.slot.phases:
        entry["phases"] = [[text_of(value) for value in phase] for phase in use.slot.phases]
    return entry


def _totals(count: Count) -> dict[str, int]:
    return {
        "n_documents": count.documents,
        "n_tokens": count.tokens,
        "n_bytes": count.bytes,
    }


def _drawn(draw: Draw, arm_tokens: int) -> dict[str, Any]:
    return {
        "n_tokens": draw.n_tokens,
        "n_spans": draw.n_spans,
        "n_documents": draw.n_documents,
        "n_bytes": draw.n_bytes,
        "share": fraction(draw.n_tokens, arm_tokens),
        "cut": draw.cuts(),
    }


def _dropped(
    clauses: Sequence[Clause], outcomes: npt.NDArray[np.int64], n_eligible: int
) -> list[dict[str, Any]]:
    """Documents by the first clause that dropped them; by null apart; then by overlap."""
    found = []
    for number, clause in enumerate(clauses):
        false, null = int(outcomes[2 * number]), int(outcomes[2 * number + 1])
        found.append({"clause": clause.text, "n_documents": false})
        if null:
            found.append({"clause": f"{clause.text} [null]", "n_documents": null})
    overlapping = int(outcomes[KEPT]) - n_eligible
    if overlapping:
        found.append({"clause": "[belongs to an earlier component]", "n_documents": overlapping})
    return found


def _sources(planner: Planner, attempt: Attempt, arm: ArmDraws) -> dict[str, Any]:
    """Per source: what the arm dropped, left unused and used, every document once."""
    found: dict[str, Any] = {}
    counted = attempt.ground.census
    for name in planner.gathered.sources:
        chosen = [c for c in present(arm.arm) if c.source == name]
        if not chosen:
            continue
        union = tuple(dict.fromkeys(planner.gathered.selection(name, c.where) for c in chosen))
        outcomes = counted.untaken[union]
        pools = {use.pool: use for use in arm.uses if use.component.source == name}
        eligible = sum(counted.pools[pool].documents for pool in pools)
        n_used = sum(
            distinct([arm.draws[use.name] for use in arm.uses if use.pool == pool])
            for pool in pools
        )
        dropped = _dropped(chosen[0].where, outcomes, int(outcomes[KEPT]))
        kept = int(counted.outcomes[union[0]].sum()) - int(outcomes.sum())
        if kept - eligible:
            dropped.append(
                {"clause": "[belongs to another source]", "n_documents": kept - eligible}
            )
        found[name] = {
            "dropped": dropped,
            "n_unused": eligible - n_used,
            "n_used": n_used,
        }
    return found


def holdout(
    recipe: Recipe,
    names: Sequence[str],
    draws: Mapping[str, Draw],
    written: Mapping[str, Any],
    held: Rows,
    whole: Mapping[str, Count],
) -> dict[str, Any]:
    """The object of the hold-out; `whole` is what each source had to choose from."""
    asked = recipe.holdout.tokens if recipe.holdout is not None else 0
    chosen = recipe.holdout.sources if recipe.holdout is not None else ()
    components = []
    for name in names:
        draw = draws[name]
        requested = asked if name in chosen else 0
        components.append(
            {
                "name": name,
                "source": name,
                "unit": "tokens",
                "requested": requested,
                "residual": draw.n_tokens - requested,
                "eligible": _totals(whole[name]),
                "epochs": fraction(draw.n_tokens, whole[name].tokens),
                "dropped": [],
                "n_unused": whole[name].documents - draw.n_documents,
                **_drawn(draw, written["n_tokens"]),
            }
        )
    groups = np.unique(words(held, "ga", "gb"), axis=0)
    return {
        "seed": recipe.seed,
        **written,
        "n_documents": sum(component["n_documents"] for component in components),
        "n_groups": len(groups),
        "components": components,
    }
