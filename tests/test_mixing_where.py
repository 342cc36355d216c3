"""A `where` says, per row, the first clause that drops it: against a slow evaluation."""

import math
import operator
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.mixing.where import KEPT, ColumnError, outcome
from curate.recipe import where as recipe_where
from curate.recipe.where import And, Compare, Flag, In, IsNull, Literal, Name, Not, Tree

SCHEMA = {
    "toxicity": pl.Float32,
    "detoxify.insult": pl.Float32,
    "n_posts": pl.UInt32,
    "language": pl.String,
    "spam": pl.Boolean,
}
Row = dict[str, object]

rows = st.lists(
    st.fixed_dictionaries(
        {
            "toxicity": st.sampled_from([None, 0.0, 0.1, 0.5, 0.7, float("nan")]),
            "detoxify.insult": st.sampled_from([None, 0.2, 0.8]),
            "n_posts": st.integers(0, 4),
            "language": st.sampled_from([None, "en", "de"]),
            "spam": st.sampled_from([None, True, False]),
        }
    ),
    min_size=1,
    max_size=8,
)
leaves = st.sampled_from(
    [
        "toxicity < 0.1",
        "0.1 <= toxicity < 0.7",
        "toxicity == 0.7",
        "toxicity != detoxify.insult",
        "n_posts > 2",
        "n_posts >= 1.5",
        "2 >= n_posts",
        "language == 'en'",
        "language in ['de', 'fr']",
        "n_posts not in [1, 2]",
        "toxicity is null",
        "language is not null",
        "spam",
        "not spam",
    ]
)
texts = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(lambda t: f"not ({t})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} or {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} and {t[1]})"),
    ),
    max_leaves=4,
)


def value_of(side: Name | Literal, row: Row, other: Name | Literal) -> object:
    """A value as it is compared: decimals beside a float column as float32, NaN as null."""
    if isinstance(side, Name):
        value = row[side.name]
        if isinstance(value, float):
            return None if math.isnan(value) else float(np.float32(value))
        return value
    if isinstance(side.value, Fraction) and isinstance(other, Name):
        as_float = SCHEMA[other.name] == pl.Float32
        return float(np.float32(float(side.value))) if as_float else side.value
    return side.value


def holds(tree: Tree, row: Row) -> bool:
    """Whether a tree holds for a row, in plain Python."""
    if isinstance(tree, Not):
        return not holds(tree.item, row)
    if isinstance(tree, And):
        return all(holds(item, row) for item in tree.items)
    if isinstance(tree, recipe_where.Or):
        return any(holds(item, row) for item in tree.items)
    if isinstance(tree, IsNull):
        return value_of(tree.name, row, tree.name) is None
    if isinstance(tree, Flag):
        return row[tree.name.name] is True
    if isinstance(tree, In):
        have = value_of(tree.name, row, tree.name)
        return have is not None and have in [value_of(v, row, tree.name) for v in tree.values]
    left, right = value_of(tree.left, row, tree.right), value_of(tree.right, row, tree.left)
    if left is None or right is None:
        return False
    if tree.operator in ("==", "!="):
        return (left == right) == (tree.operator == "==")
    return bool(_ORDERS[tree.operator](left, right))


_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def outcomes(text: str, found: list[Row]) -> list[int]:
    """What the expression gives."""
    table = pl.DataFrame(found, schema=SCHEMA)
    return table.select(outcome(recipe_where.parse(text), table.schema)).to_series().to_list()


@given(st.lists(texts, min_size=1, max_size=3), rows)
def test_agrees_with_plain_python(clauses: list[str], found: list[Row]) -> None:
    """The clause that drops a row first is the first that does not hold."""
    text = " and ".join(clauses)
    trees = [clause.tree for clause in recipe_where.parse(text)]
    expected = []
    for row in found:
        false = [n for n, tree in enumerate(trees) if not holds(tree, row)]
        expected.append(false[0] if false else None)

    got = [None if o == KEPT else o // 2 for o in outcomes(text, found)]
    assert expected == got


def test_null_is_counted_apart() -> None:
    """A clause that is false because a value is null says so by an odd number."""
    found: list[Row] = [
        {"toxicity": t, "detoxify.insult": 0.1, "n_posts": 1, "language": "en", "spam": False}
        for t in (0.1, 0.9, None, float("nan"))
    ]

    assert [KEPT, 2, 3, 3] == outcomes("n_posts == 1 and toxicity < 0.5", found)


def test_decimals_are_compared_as_the_column_stores_them() -> None:
    """A score stored as float32(0.1) is not less than the decimal 0.1."""
    table = pl.DataFrame({"toxicity": [0.1]}, schema={"toxicity": pl.Float32})
    clauses = recipe_where.parse("toxicity >= 0.1")

    assert [KEPT] == table.select(outcome(clauses, table.schema)).to_series().to_list()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("toxcity < 0.5", "there is no tag or column 'toxcity'"),
        ("language < 0.5", "language is a text, and 0.5 is a number"),
        ("toxicity == 'high'", "toxicity is a number, and 'high' is a text"),
        ("toxicity", "toxicity is not a flag"),
        ("language == n_posts", "language cannot be compared with n_posts"),
        ("text == 'a'", "there is no tag or column 'text'"),
    ],
)
def test_a_where_that_does_not_fit_says_why(text: str, message: str) -> None:
    """Names and types are checked against the columns there are."""
    with pytest.raises(ColumnError, match=message):
        outcome(recipe_where.parse(text), {**SCHEMA, "text": pl.String()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("toxicity <", "expected a name or a value, found the end, at character 11"),
        ("toxicity = 0.5", r"cannot read '= 0.5' \(equality is written ==\), at character 10"),
        ("0.1 < 0.5", "a comparison needs a tag or column on one side, at character 1"),
        ("(toxicity < 1", r"expected '\)', found the end"),
        ("toxicity < 1 and", "expected a name or a value, found the end"),
        ("toxicity < 1 n_posts", "expected 'and', 'or' or the end, found 'n_posts'"),
        ("not " * 60 + "spam", "more than 50 levels deep"),
        ("__import__('os')", r"expected 'and', 'or' or the end, found '\('"),
        ("language in 'en'", r"expected '\[', found 'en'"),
        ("", "expected a name or a value, found the end, at character 1"),
    ],
)
def test_a_where_that_cannot_be_read_says_where(text: str, message: str) -> None:
    """Mistakes are answered with what was expected and at which character."""
    with pytest.raises(recipe_where.WhereError, match=message):
        recipe_where.parse(text)


def test_clauses_are_the_conjuncts_at_the_top() -> None:
    """An `or` inside parentheses is one clause; an `or` at the top makes the whole one clause."""
    clauses = recipe_where.parse("a < 1 and (b > 2 or c) and not d")

    assert ["a < 1", "(b > 2 or c)", "not d"] == [clause.text for clause in clauses]
    assert ["a < 1 and b > 2 or c"] == [c.text for c in recipe_where.parse("a < 1 and b > 2 or c")]


def test_names_may_be_dotted_hyphenated_or_quoted() -> None:
    """Tags are called after taggers, and taggers may be called anything a file may."""
    tree = recipe_where.parse("a.b-c == 1 and `4chan score` < 2")

    assert [Compare(Name("a.b-c"), "==", Literal(Fraction(1)))] == [tree[0].tree]
    assert Name("4chan score") == tree[1].tree.left  # type: ignore[union-attr]
