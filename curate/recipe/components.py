"""
Turn `[component.NAME]` tables into components, and refuse budgets that no pools could resolve.

    >>> from pathlib import Path
    >>> from curate.recipe.read import parse
    >>> text = "[component.toxic]\\nsource = 'pol'\\nshare = '1/3'\\nof = 'clean'"
    >>> top = Table(parse(text, Path("r.toml")), Path("r.toml"), text)
    >>> read(top.table("component").table("toxic"), ["pol"]).budget
    Budget(kind='share', amount=Fraction(1, 3))
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from curate.recipe.model import TOTAL, Arm, Budget, Component, Holdout
from curate.recipe.read import Table, nearest
from curate.recipe.where import Clause, WhereError
from curate.recipe.where import parse as parse_where

BUDGETS = ("tokens", "documents", "bytes", "epochs", "share")
_RESERVED = ("total", "rest", "seed", "mix", "holdout")


def read(table: Table, sources: Sequence[str]) -> Component:
    """The component of one table; `sources` are the names a source may have."""
    name = table.keys[-1]
    table.only("source", "where", *BUDGETS, "of", "max_epochs", "phases")
    if name in _RESERVED:
        raise table.error("", "is a reserved name", "Choose another.")
    source = table.string("source", hint=f'Add: source = "{sources[0]}"')
    if source not in sources:
        guess = nearest(source, sources)
        raise table.error(
            "source",
            f"names no source: {source!r}",
            f'Did you mean "{guess}"?' if guess else f"Sources: {', '.join(sources)}.",
        )
    where: tuple[Clause, ...] = ()
    if "where" in table:
        try:
            where = parse_where(table.string("where"))
        except WhereError as error:
            hint = 'For example: where = "toxicity < 0.5"'
            raise table.error("where", f"cannot be read: {error}", hint) from None
    budget = _budget(table)
    if "of" in table and budget is not None and budget.kind != "share":
        raise table.error("of", "goes with share only", "Leave it out.")
    limit = table.exact("max_epochs") if "max_epochs" in table else None
    if limit is not None and limit <= 0:
        raise table.error("max_epochs", "must be more than 0", "Write: max_epochs = 1")
    if (
        limit is not None
        and budget is not None
        and budget.kind == "epochs"
        and budget.amount > limit
    ):
        raise table.error("max_epochs", f"is less than epochs = {budget.amount}", "Leave it out.")
    return Component(
        name=name,
        source=source,
        where=where,
        budget=budget,
        of=table.string("of") if "of" in table else TOTAL,
        max_epochs=limit,
        phases=_phases(table),
    )


def _budget(table: Table) -> Budget | None:
    given = [key for key in BUDGETS if key in table]
    if len(given) > 1:
        raise table.error(
            given[1], f"is a second budget beside {given[0]}", "A component has one; leave one out."
        )
    if not given:
        return None
    kind = given[0]
    if kind == "share" and table.data[kind] == "rest":
        return Budget("rest")
    if kind in ("share", "epochs"):
        return Budget(kind, table.exact(kind))
    return Budget(kind, Fraction(table.whole(kind)))


def _phases(table: Table) -> tuple[tuple[Fraction, Fraction], ...]:
    rows = table.data.get("phases", [])
    if rows == []:
        return ()
    example = 'For example: phases = [["80 %", 1], ["20 %", 0]]'
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and len(row) == 2 for row in rows
    ):
        raise table.error("phases", "must be pairs of a stretch and a relative density", example)
    pairs = []
    for row in rows:
        stretch, density = (Table({"phases": v}, table.path, table.text, table.keys) for v in row)
        pairs.append((stretch.exact("phases"), density.exact("phases")))
    total = sum((stretch for stretch, _ in pairs), Fraction(0))
    if total != 1:
        raise table.error("phases", f"cover {total} of the stream, not all of it", example)
    if not any(stretch * density for stretch, density in pairs):
        raise table.error("phases", "leave the component no place in the stream", example)
    return tuple((stretch, density) for stretch, density in pairs if stretch)


def check_budgets(top: Table, present: list[Component], total: int | None) -> None:
    """Refuse budgets that no pools could resolve: no anchor, no total for rest, `of` in a ring."""
    tables = top.table("component")
    budgets = {c.name: c for c in present}
    kinds = [c.budget.kind for c in present if c.budget is not None]
    if kinds.count("rest") > 1:
        last = [c.name for c in present if c.budget == Budget("rest")][-1]
        raise tables.table(last).error("share", "is a second rest", 'One component may be "rest".')
    if "rest" in kinds and total is None:
        rest = next(c.name for c in present if c.budget == Budget("rest"))
        raise tables.table(rest).error(
            "share", 'cannot be "rest" without a total', "Add: [mix] tokens = …"
        )
    if total is None and not any(kind in BUDGETS[:4] for kind in kinds):
        raise top.error(
            "",
            "has no component with an absolute budget",
            "Give one tokens = …, or fix the total: [mix] tokens = …",
        )
    for component in present:
        seen = [component.name]
        while (of := budgets[seen[-1]].of) != TOTAL:
            table = tables.table(seen[-1])
            if of not in budgets:
                guess = nearest(of, list(budgets))
                raise table.error(
                    "of",
                    f"names no component with a budget: {of!r}",
                    f'Did you mean "{guess}"?' if guess else f"Components: {', '.join(budgets)}.",
                )
            if of in seen:
                raise table.error("of", f"goes in a ring: {' of '.join([*seen, of])}")
            seen.append(of)


def refuse_phases(top: Table, components: Iterable[Component]) -> None:
    """Refuse phases where each component is written alone: nothing could honour them."""
    for component in components:
        if component.phases:
            raise (
                top.table("component")
                .table(component.name)
                .error(
                    "phases",
                    'cannot be kept in layout "by-source", where the trainer mixes',
                    'Leave it out, or set layout = "interleaved" in [mix].',
                )
            )


def refuse_idle(
    top: Table,
    components: Iterable[Component],
    arms: Iterable[Arm],
    holdout: Holdout | None,
    sources: Iterable[str],
) -> None:
    """Refuse components and sources that nothing uses: they are mistakes, and cost a read."""
    used = {c.name for arm in arms for c in (*arm.components, *arm.replace.values())}
    components = list(components)
    for name in (component.name for component in components):
        if name not in used:
            raise (
                top.table("component")
                .table(name)
                .error(
                    "", "has no budget and no control uses it", "Add one of: " + ", ".join(BUDGETS)
                )
            )
    held = () if holdout is None else holdout.sources
    for name in sources:
        if name not in held and all(c.source != name for c in components):
            raise (
                top.table("source")
                .table(name)
                .error("", "is used by no component", "Add a component for it, or leave it out.")
            )
