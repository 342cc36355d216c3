"""
Turn a recipe and stated pool sizes into the arithmetic of its plan, before any pool exists.

Every number that rests on a statement is marked: `"assumed": true` beside it, and `"assumed"` at
the top with what was stated. What no statement can tell (documents, cuts, order) is absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from curate.errors import UsageError
from curate.mixing import budget, feasible, shortage
from curate.mixing.amounts import Amount
from curate.mixing.census import Census, Count
from curate.mixing.gather import Selection
from curate.mixing.phases import schedules
from curate.mixing.problem import Problem
from curate.mixing.uses import Use, uses
from curate.recipe.model import TOTAL, Arm, Component, Recipe
from curate.recipe.read import nearest


@dataclass
class _Stated:
    """Pools as stated: by source, or more closely by component."""

    recipe: Recipe
    tokens: Mapping[str, int]
    numbers: dict[str, int] = field(default_factory=dict)

    def select(self, component: Component) -> Selection:
        """A selection of its own for every component, whose pool is what was stated of it."""
        return Selection(0, self.numbers.setdefault(component.name, len(self.numbers)))

    def of(self, component: Component) -> int:
        """Eligible tokens of a component."""
        for name in (component.name, component.source):
            if name in self.tokens:
                return self.tokens[name]
        raise UsageError(
            f"nothing is stated of {component.source}",
            hint=f"Add: --assume {component.source}=30_000_000_000",
        )


def assume_plan(recipe: Recipe, pools: Mapping[str, int]) -> dict[str, Any]:
    """
    The plan's numbers from eligible token totals per source (or per component).

    Raises UsageError if a source is not stated, InfeasibleError (exit 5) as `make_plan` does.
    """
    known = [*recipe.sources, *recipe.components]
    for name in pools:
        if name not in known:
            guess = nearest(name, known)
            raise UsageError(
                f"--assume names no source: {name}",
                hint=f"Did you mean {guess}?"
                if guess
                else f"Sources: {', '.join(recipe.sources)}.",
            )
    stated = _Stated(recipe, pools)
    try:
        arms = _attempt(recipe, stated)
    except Problem as problem:
        raise feasible.explain(recipe, problem, lambda changed: _attempt(changed, stated)) from None
    return {
        "format": "curate-plan/1",
        "assumed": dict(sorted(pools.items())),
        "recipe": recipe.name,
        "version": recipe.version,
        "seed": recipe.seed,
        "layout": recipe.mix.layout,
        "arms": arms,
        **_holdout(recipe),
    }


def _holdout(recipe: Recipe) -> dict[str, Any]:
    if recipe.holdout is None:
        return {}
    asked = recipe.holdout.tokens
    return {
        "holdout": {
            "n_tokens": asked * len(recipe.holdout.sources),
            "components": [
                {"name": name, "source": name, "unit": "tokens", "requested": asked}
                for name in recipe.holdout.sources
            ],
        }
    }


def _attempt(recipe: Recipe, stated: _Stated) -> list[dict[str, Any]]:
    all_uses = {arm.name: uses(arm, stated.select, False) for arm in recipe.arms()}
    counted = Census()
    for use in (use for found in all_uses.values() for use in found):
        held = 0
        if recipe.holdout is not None and use.component.source in recipe.holdout.sources:
            held = recipe.holdout.tokens
        counted.pools[use.pool] = Count(tokens=max(0, stated.of(use.component) - held))
    amounts: dict[str, dict[str, Amount]] = {}
    for arm in recipe.arms():
        base = next(a for a in recipe.arms() if a.name == (arm.like if arm.replace else arm.name))
        tokens = _tokens(base, all_uses[base.name], counted)
        amounts[arm.name] = {
            use.name: Amount("tokens", tokens[use.slot.name]) for use in all_uses[arm.name]
        }
    shortage.check(recipe, all_uses, amounts, counted)
    return [_arm(arm, all_uses[arm.name], amounts[arm.name], counted) for arm in recipe.arms()]


def _tokens(arm: Arm, arm_uses: list[Use], counted: Census) -> dict[str, int]:
    known: dict[str, int] = {}
    for use in arm_uses:
        told = use.component.budget
        if told is None or told.kind in ("share", "rest"):
            continue
        if told.kind in ("documents", "bytes"):
            raise UsageError(
                f"a budget of {told.kind} cannot be planned from stated tokens: {use.name}",
                hint="Build the pools first: curate build … --until tokenize",
            )
        eligible = counted.pools[use.pool].tokens if told.kind == "epochs" else 1
        known[use.name] = budget.rounded(told.amount * eligible)
    return budget.solve(arm.components, arm.total, known)


def _arm(
    arm: Arm, arm_uses: list[Use], amounts: Mapping[str, Amount], counted: Census
) -> dict[str, Any]:
    total = sum(amount.requested for amount in amounts.values())
    schedules(
        {use.name: amounts[use.name].requested for use in arm_uses},
        {use.name: use.slot.phases for use in arm_uses},
    )
    components = []
    for use in sorted(arm_uses, key=lambda use: use.name):
        requested = amounts[use.name].requested
        entry = {
            "name": use.name,
            "source": use.component.source,
            "unit": "tokens",
            "requested": requested,
            "n_tokens": requested,
            "residual": 0,
            "eligible": {"n_tokens": counted.pools[use.pool].tokens, "assumed": True},
            "epochs": _quotient(requested, counted.pools[use.pool].tokens),
            "share": _quotient(requested, total),
        }
        told = use.slot.budget
        if not use.stands_for and told is not None and told.kind == "share":
            entry |= {"of": use.slot.of} if use.slot.of != TOTAL else {}
        if use.stands_for:
            entry |= {"component": use.component.name, "stands_for": use.stands_for}
        components.append(entry)
    return {
        "name": arm.name,
        "settings": dict(arm.settings),
        "seed": arm.seed,
        "n_tokens": total,
        "assumed": True,
        "components": components,
    }


def _quotient(over: int, under: int) -> str:
    value = Fraction(over, under) if under else Fraction(0)
    return f"{value.numerator}/{value.denominator}"
