"""What a `where` means is written down twice; here it is read by hand."""

import polars as pl
import pytest

from curate.audit.where import breaches, columns, first_breach, unreadable

TABLE = pl.DataFrame(
    {
        "score": [0.1, 0.5, 0.7, None],
        "other": [0.1, 0.6, 0.6, 0.6],
        "n_posts": [1, 2, 3, None],
        "spam": [True, False, None, True],
        "language": ["en", "de", None, "fr"],
    },
    schema_overrides={"score": pl.Float32, "other": pl.Float32, "n_posts": pl.UInt32},
)


@pytest.mark.parametrize(
    ("clause", "broken"),
    [
        ("score < 0.5", [1, 2, 3]),
        ("score <= 0.5", [2, 3]),
        ("score > 0.5", [0, 1, 3]),
        ("score >= 0.5", [0, 3]),
        ("score == 0.7", [0, 1, 3]),
        ("score != 0.7", [2, 3]),
        ("0.5 > score", [1, 2, 3]),
        ("score >= other", [1, 3]),
        ("n_posts >= 2", [0, 3]),
        ("n_posts > 2.5", [0, 1, 3]),
        ("n_posts in [1, 3]", [1, 3]),
        ("spam", [1, 2]),
        ("not spam", [0, 3]),
        ("language == 'en'", [1, 2, 3]),
        ("language in ['en', 'de']", [2, 3]),
        ("language in []", [0, 1, 2, 3]),
        ("language is null", [0, 1, 3]),
        ("language is not null", [2]),
        ("(score < 0.2 or language == 'fr')", [1, 2]),
    ],
)
def test_a_clause_is_broken_by_these_rows(clause: str, broken: list[int]) -> None:
    """Null makes a comparison false; a decimal beside a score is a float32."""
    assert [broken] == [rows for _, rows in breaches(clause, TABLE)]


def test_clauses_are_asked_one_by_one() -> None:
    """Each has its own rows; what no row breaks and what is over other columns is not named."""
    found = breaches("score < 0.6 and n_posts >= 1 and colour == 'red' and other > 0", TABLE)

    assert [("score < 0.6", [2, 3]), ("n_posts >= 1", [3])] == found
    assert ["colour == 'red'"] == unreadable("score < 0.6 and colour == 'red'", TABLE.columns)
    assert ["score <"] == unreadable("score <", TABLE.columns)
    assert ["epoch == 0"] == unreadable("epoch == 0", ["epoch"])
    assert ["score", "n_posts"] == columns("score < 0.6 and n_posts >= 1")
    assert [] == columns("score <")


def test_the_first_clause_that_is_broken_is_the_reason() -> None:
    """In the order of the recipe."""
    row = TABLE[2:3]

    assert "score < 0.6" == first_breach("n_posts > 1 and score < 0.6 and n_posts > 5", row)
    assert "" == first_breach("n_posts > 1", row)
