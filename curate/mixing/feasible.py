"""
Turn a problem into the error that a person reads, with ways out that were seen to work.

Every way out is one line of the recipe. It is offered only after the recipe, with that line
changed, was planned on the same rows.
"""

from collections.abc import Callable
from typing import Any

from curate import recipe as recipes
from curate.errors import CurateError, InfeasibleError
from curate.mixing.problem import Edit, Problem
from curate.recipe_model import Recipe

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
        changed = recipes.build(edit.applied(recipe.data), recipe.text, recipe.path)
        attempt(changed)
    except (Problem, CurateError):
        return False
    return True
