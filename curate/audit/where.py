"""
Turn a component's `where` into the spans that should not be in it.

The words of the language are read by `curate.recipe.where`; what they mean is written down here a
second time: numbers are compared as the column's own kind (float32 for scores), null makes a
comparison false.

    >>> import polars as pl
    >>> table = pl.DataFrame({"toxicity": [0.2, 0.7, None]}, schema={"toxicity": pl.Float32})
    >>> breaches("toxicity < 0.5", table)
    [('toxicity < 0.5', [1, 2])]
"""

from fractions import Fraction
from typing import TYPE_CHECKING

from curate.recipe.where import (
    And,
    Compare,
    Flag,
    In,
    IsNull,
    Literal,
    Name,
    Not,
    Or,
    Tree,
    WhereError,
    names,
    parse,
)

if TYPE_CHECKING:
    import polars as pl

KEPT = "kept by this clause"
DELIVERED = frozenset(
    {"n_tokens", "first", "n_inserted", "cut", "digest", "start", "shard", "epoch"}
)
"""
Columns of spans that say what was taken of a document, not what the document was; `license` holds
the source's where the document says nothing.
"""


def breaches(where: str, spans: "pl.DataFrame") -> list[tuple[str, list[int]]]:
    """
    Clause → numbers of the rows that do not satisfy it, for clauses that some row breaks.

    Clauses over columns that spans do not have are passed over (`unreadable` names them).
    """
    found = []
    for clause in parse(where):
        if any(name not in spans.columns or name in DELIVERED for name in names(clause.tree)):
            continue
        # Only `with_columns` gives a constant (`in []`) a row for every span.
        kept = spans.with_columns(_expression(clause.tree, spans.schema).alias(KEPT))[KEPT]
        wrong = (~kept).arg_true().to_list()
        if wrong:
            found.append((clause.text, wrong))
    return found


def unreadable(where: str, columns: list[str]) -> list[str]:
    """Clauses that cannot be checked on spans; the whole text if it cannot be parsed."""
    try:
        clauses = parse(where)
    except WhereError:
        return [where]
    return [
        clause.text
        for clause in clauses
        if any(name not in columns or name in DELIVERED for name in names(clause.tree))
    ]


def columns(where: str) -> list[str]:
    """The columns that a `where` looks at, in order; none if it cannot be parsed."""
    try:
        return [name for clause in parse(where) for name in names(clause.tree)]
    except WhereError:
        return []


def first_breach(where: str, row: "pl.DataFrame") -> str:
    """The first clause that a table of one row does not satisfy; empty if it satisfies all."""
    broken = breaches(where, row)
    return broken[0][0] if broken else ""


def _expression(tree: Tree, schema: "pl.Schema") -> "pl.Expr":
    import polars as pl

    if isinstance(tree, And):
        return pl.all_horizontal([_expression(item, schema) for item in tree.items])
    if isinstance(tree, Or):
        return pl.any_horizontal([_expression(item, schema) for item in tree.items])
    if isinstance(tree, Not):
        return ~_expression(tree.item, schema)
    if isinstance(tree, IsNull):
        return pl.col(tree.name.name).is_null()
    if isinstance(tree, Flag):
        return pl.col(tree.name.name).fill_null(False)
    if isinstance(tree, In):
        return pl.any_horizontal(
            [_compare(Compare(tree.name, "==", value), schema) for value in tree.values]
            or [pl.lit(False)]
        )
    return _compare(tree, schema)


def _compare(tree: Compare, schema: "pl.Schema") -> "pl.Expr":
    left, right = _side(tree.left, tree.right, schema), _side(tree.right, tree.left, schema)
    result = {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
        "==": left == right,
        "!=": left != right,
    }[tree.operator]
    return result.fill_null(False)


def _side(side: "Name | Literal", other: "Name | Literal", schema: "pl.Schema") -> "pl.Expr":
    import polars as pl

    if isinstance(side, Name):
        column = pl.col(side.name)
        if isinstance(other, Literal) and isinstance(other.value, Fraction):
            # A whole column against 5/2 is the doubled column against 5: no float decides.
            kind = schema[side.name]
            return column.cast(pl.Int128) * other.value.denominator if kind.is_integer() else column
        return column
    value = side.value
    if isinstance(value, str | bool):
        return pl.lit(value)
    kind = schema[other.name] if isinstance(other, Name) else pl.Float32()
    if kind.is_integer():
        return pl.lit(value.numerator, dtype=pl.Int128)
    return pl.lit(float(value)).cast(kind if kind.is_float() else pl.Float32)
