"""
Turn a problem into the error that a person reads, with ways out that were seen to work.

Every way out is one line of the recipe. It is offered only after the recipe, with that line
changed, was planned on the same rows.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from curate import recipe as recipes
from curate.errors import CurateError, InfeasibleError
from curate.mixing.problem import Edit, Problem
from curate.recipe.model import Arm, Component, Recipe

OFFERED = 3


def explain(recipe: Recipe, problem: Problem, attempt: Callable[[Recipe], Any]) -> InfeasibleError:
    """The error for a recipe's problem; `attempt` plans another, or raises Problem."""
    offered: list[Edit] = []
    for edit in problem.edits:
        told = {(other.table, other.key) for other in offered}
        if (
            len(offered) < OFFERED
            and (edit.table, edit.key) not in told
            and _works(recipe, edit, attempt)
        ):
            offered.append(edit)
    hint = f"Set {', or '.join(str(edit) for edit in offered)}." if offered else ""
    return InfeasibleError(problem.message, details=problem.details, hint=hint)


def _works(recipe: Recipe, edit: Edit, attempt: Callable[[Recipe], Any]) -> bool:
    try:
        attempt(_changed(recipe, edit))
    except (Problem, CurateError):
        return False
    return True


def _changed(recipe: Recipe, edit: Edit) -> Recipe:
    """The recipe with one line changed, its clauses as they are: rules in them stay numbers."""
    written = recipes.build(recipe.data, recipe.text, recipe.path)
    changed = recipes.build(edit.applied(recipe.data), recipe.text, recipe.path)
    clauses = {
        (plain.name, plain.where): known.where
        for arm, same in zip(written.arms(), recipe.arms(), strict=True)
        for plain, known in zip(_components(arm), _components(same), strict=True)
    }

    def kept(component: Component) -> Component:
        where = clauses.get((component.name, component.where), component.where)
        return replace(component, where=where)

    arms = [
        replace(
            arm,
            components=tuple(kept(component) for component in arm.components),
            replace={name: kept(component) for name, component in arm.replace.items()},
        )
        for arm in changed.arms()
    ]
    return replace(changed, all_arms=tuple(arms))


def _components(arm: Arm) -> list[Component]:
    return [*arm.components, *arm.replace.values()]
