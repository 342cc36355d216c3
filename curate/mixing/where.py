"""
Turn the clauses of a `where` into one column that says which clause drops a row first.

    >>> from curate.recipe.where import parse
    >>> table = pl.DataFrame({"toxicity": [0.1, 0.7, None], "n_posts": [1, 2, 3]},
    ...                      schema={"toxicity": pl.Float32, "n_posts": pl.UInt32})
    >>> clauses = parse("toxicity < 0.5 and n_posts < 3")
    >>> table.select(outcome(clauses, table.schema)).to_series().to_list()
    [255, 0, 1]

255: no clause drops it. 2i: clause i is false. 2i + 1: clause i is false, and a value it compares
is null (a comparison with null is false). NaN counts as null. Numbers are cast to the column's
type: a decimal beside a Float32 score is compared as Float32.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import polars as pl

from curate.recipe.read import nearest
from curate.recipe.where import (
    And,
    Clause,
    Compare,
    Flag,
    In,
    IsNull,
    Literal,
    Name,
    Not,
    Or,
    Tree,
    names,
)

KEPT = 255
MAX_CLAUSES = 120
HIDDEN = ("id", "key", "group", "text", "content")
"""Columns of documents that a `where` may not read: they say nothing about a document."""


class ColumnError(ValueError):
    """A `where` that does not fit the columns there are: the sentence, and a way out or ""."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


def columns(clauses: Sequence[Clause]) -> list[str]:
    """The columns the clauses read, sorted."""
    return sorted({name for clause in clauses for name in names(clause.tree)})


def outcome(clauses: Sequence[Clause], schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """A UInt8 expression over a table of `schema`, as above; ColumnError if they do not fit."""
    if len(clauses) > MAX_CLAUSES:
        raise ColumnError(f"a where has at most {MAX_CLAUSES} clauses, not {len(clauses)}")
    result = pl.lit(KEPT, dtype=pl.UInt8)
    for number, clause in reversed(list(enumerate(clauses))):
        missing = pl.any_horizontal(
            [_column(name, schema).is_null() for name in sorted(set(_compared(clause.tree)))]
            or [pl.lit(False)]
        )
        dropped = pl.when(missing).then(pl.lit(2 * number + 1, dtype=pl.UInt8))
        result = (
            pl.when(_expression(clause.tree, schema))
            .then(result)
            .otherwise(dropped.otherwise(pl.lit(2 * number, dtype=pl.UInt8)))
        )
    return result


def _compared(tree: Tree) -> Iterator[str]:
    """Columns whose null makes something false: all but those of `is null`."""
    if isinstance(tree, And | Or):
        for item in tree.items:
            yield from _compared(item)
    elif isinstance(tree, Not):
        yield from _compared(tree.item)
    elif not isinstance(tree, IsNull):
        yield from names(tree)


def _column(name: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    if name not in schema or name in HIDDEN:
        known = sorted(set(schema) - set(HIDDEN))
        guess = nearest(name, known)
        hint = f"Did you mean {guess}?" if guess else f"There are: {', '.join(known)}."
        raise ColumnError(f"there is no tag or column {name!r}", hint)
    column = pl.col(name)
    return column.fill_nan(None) if schema[name].is_float() else column


def _expression(tree: Tree, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    if isinstance(tree, And):
        return pl.all_horizontal([_expression(item, schema) for item in tree.items])
    if isinstance(tree, Or):
        return pl.any_horizontal([_expression(item, schema) for item in tree.items])
    if isinstance(tree, Not):
        return ~_expression(tree.item, schema)
    if isinstance(tree, IsNull):
        return _column(tree.name.name, schema).is_null()
    if isinstance(tree, Flag):
        column = _column(tree.name.name, schema)
        if schema[tree.name.name] != pl.Boolean:
            raise ColumnError(f"{tree.name.name} is not a flag", "Compare it with a value.")
        return column.fill_null(False)
    if isinstance(tree, In):
        column = _column(tree.name.name, schema)
        # One comparison per value: polars' own is_in would cast the column to the values' type.
        equal = [column == _literal(v, tree.name.name, schema) for v in tree.values]
        return pl.any_horizontal(equal or [pl.lit(False)]).fill_null(False)
    return _comparison(tree, schema)


def _comparison(tree: Compare, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    left, right = tree.left, tree.right
    if isinstance(left, Name) and isinstance(right, Name):
        sides = (_column(left.name, schema), _column(right.name, schema))
        if _kind(schema[left.name]) != _kind(schema[right.name]):
            raise ColumnError(f"{left.name} cannot be compared with {right.name}")
    elif isinstance(left, Name) and isinstance(right, Literal):
        sides = (_column(left.name, schema), _literal(right, left.name, schema))
    elif isinstance(left, Literal) and isinstance(right, Name):
        sides = (_literal(left, right.name, schema), _column(right.name, schema))
    else:
        raise ColumnError("a comparison needs a tag or column on one side")
    a, b = sides
    compared = {
        "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b,
    }[tree.operator]  # fmt: skip
    return compared.fill_null(False)


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "a number"
    if dtype == pl.String:
        return "a text"
    return "a flag" if dtype == pl.Boolean else f"of type {dtype}"


def _literal(literal: Literal, name: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    _column(name, schema)
    dtype, value = schema[name], literal.value
    kind = (
        "a flag" if isinstance(value, bool) else "a text" if isinstance(value, str) else "a number"
    )
    if kind != _kind(dtype):
        shown = value if not isinstance(value, Fraction) else float(value)
        raise ColumnError(f"{name} is {_kind(dtype)}, and {shown!r} is {kind}")
    if not isinstance(value, Fraction):
        return pl.lit(value)
    if dtype == pl.Float32:
        return pl.lit(float(value), dtype=pl.Float32)
    if dtype.is_float() or value.denominator != 1:
        return pl.lit(float(value), dtype=pl.Float64)
    if not -(2**63) <= value < 2**63:
        raise ColumnError(f"{int(value)} is beyond the numbers {name} can hold")
    return pl.lit(int(value), dtype=pl.Int64)
