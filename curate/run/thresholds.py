"""
Turn thresholds given by rule into numbers, once, and keep them in the lock.

    where = 'toxicity >= "top 5 % of tokens"'      over all documents of the component's source
    where = 'toxicity >= "precision >= 0.9"'       needs a tagger that calibrates toxicity

The first build computes each and writes `[resolved]` into the lock; later builds use what is there.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from curate import recipe, taggers
from curate.errors import RecipeError, UsageError
from curate.recipe.model import Component
from curate.recipe.where import And, Clause, Compare, Literal, Name, Not, Or, Tree
from curate.run.job import Job, write_lock

_RULE = re.compile(r"top |precision |recall ")
"""How every rule begins; what follows is checked by `taggers.thresholds.parse_rule`."""


def resolved(job: Job, *, locked: bool = False) -> Job:
    """
    The job with every rule in a `where` replaced by its number, and the lock that says so.

    Raises UsageError if the lock lacks one and `locked` forbids to write it.
    """
    wanted = {
        _name(component, left, rule): (component, left, rule)
        for component in job.recipe.components.values()
        for clause in component.where
        for left, rule in _rules(clause.tree)
    }
    if not wanted:
        return job
    known = {name: job.lock.resolved[name] for name in wanted if name in job.lock.resolved}
    missing = [name for name in wanted if name not in known]
    if missing and locked:
        raise UsageError(
            f"the lock does not say what {missing[0]!r} is",
            hint="Build once without --locked, and commit the lock.",
        )
    for name in missing:
        component, column, rule = wanted[name]
        known[name] = _resolve(job, component, column, rule)
    lock = replace(job.lock, resolved=known)
    if missing:
        write_lock(job.recipe.path, lock)
    return replace(job, lock=lock, recipe=_filled(job.recipe, known))


def _resolve(job: Job, component: Component, column: str, rule: str) -> str:
    """The threshold of a rule over the documents of a component's source, as decimal text."""
    import numpy as np
    import polars as pl

    from curate.taggers.thresholds import resolve_threshold

    tagger = next((n for n, told in job.taggers.items() if column in taggers.columns(told)), None)
    if tagger is None:
        raise RecipeError(
            f'[component.{component.name}] where: no tagger makes the score "{column}"',
            hint="Scores: "
            + ", ".join(c for t in job.taggers.values() for c in taggers.columns(t)),
        )
    dear = next((n for n, told in job.taggers.items() if told.get("calibrates") == column), None)
    if dear and not rule.startswith("top"):
        sample = pl.read_parquet(job.tags(component.source, dear) / "sample.parquet")
        return resolve_threshold(
            rule,
            sample["cheap"].to_numpy(),
            truth=(sample["dear"] >= 0.5).to_numpy(),
            weights=sample["weight"].to_numpy(),
        ).threshold
    scores, tokens = [], []
    for part in job.parts(component.source):
        table = pl.read_parquet(job.tags(component.source, tagger) / f"{part.name}.parquet")
        pool = pl.read_parquet(part.pool, columns=["row", "n_tokens"])
        of_row = pool.group_by("row").agg(pl.col("n_tokens").sum()).sort("row")
        counted = np.zeros(table.height, np.int64)
        counted[of_row["row"].to_numpy()] = of_row["n_tokens"].to_numpy()
        there = table[column].is_not_null().to_numpy()
        scores.append(table[column].to_numpy()[there])
        tokens.append(counted[there])
    return resolve_threshold(rule, np.concatenate(scores), tokens=np.concatenate(tokens)).threshold


def _name(component: Component, column: str, rule: str) -> str:
    return f"{component.source}: {column}: {rule}"


def _rules(tree: Tree) -> list[tuple[str, str]]:
    """(column, rule) for every comparison of a name with a rule, wherever it stands."""
    if isinstance(tree, Compare):
        name, rule = _sides(tree)
        return [(name, rule)] if name and rule else []
    if isinstance(tree, Not):
        return _rules(tree.item)
    if isinstance(tree, And | Or):
        return [found for each in tree.items for found in _rules(each)]
    return []


def _sides(tree: Compare) -> tuple[str, str]:
    name = rule = ""
    for side in (tree.left, tree.right):
        if isinstance(side, Name):
            name = side.name
        elif isinstance(side.value, str) and _RULE.match(side.value):
            rule = side.value
    return name, rule


def _filled(loaded: recipe.Recipe, known: Mapping[str, str]) -> recipe.Recipe:
    def component(old: Component) -> Component:
        where = tuple(_clause(clause, old, known) for clause in old.where)
        return replace(old, where=where)

    return replace(
        loaded,
        components={name: component(old) for name, old in loaded.components.items()},
        all_arms=tuple(
            replace(
                arm,
                components=tuple(component(old) for old in arm.components),
                replace={name: component(old) for name, old in arm.replace.items()},
            )
            for arm in loaded.all_arms
        ),
    )


def _clause(clause: Clause, component: Component, known: Mapping[str, str]) -> Clause:
    found = _rules(clause.tree)
    if not found:
        return clause
    text = clause.text
    for column, rule in found:
        for quoted in (f'"{rule}"', f"'{rule}'"):
            text = text.replace(quoted, known[_name(component, column, rule)])
    return replace(clause, text=text, tree=_replaced(clause.tree, component, known))


def _replaced(tree: Any, component: Component, known: Mapping[str, str]) -> Any:
    if isinstance(tree, Compare):
        name, rule = _sides(tree)
        if not rule:
            return tree
        number = Literal(Fraction(known[_name(component, name, rule)]))
        if isinstance(tree.left, Literal):
            return replace(tree, left=number)
        return replace(tree, right=number)
    if isinstance(tree, Not):
        return replace(tree, item=_replaced(tree.item, component, known))
    if isinstance(tree, And | Or):
        return replace(tree, items=tuple(_replaced(t, component, known) for t in tree.items))
    return tree
