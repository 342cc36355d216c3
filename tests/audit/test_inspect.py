"""Tables that can be summed by hand."""

from pathlib import Path

import pytest

from curate.audit.inspect import inspect
from curate.audit.opened import Opened, open_mix
from curate.errors import UsageError
from tests.tiny_mix import thread, web, write


def test_tables_sum_to_the_mix(mix: Opened) -> None:
    """Every table's tokens are all tokens; its shares sum to one."""
    from fractions import Fraction

    for name, rows in inspect(mix, top=3)["tables"].items():
        assert 500 == sum(row["n_tokens"] for row in rows), name
        assert 1 == sum(Fraction(row["share"]) for row in rows), name


def test_a_glance_counts_what_can_be_counted_by_hand(tmp_path: Path) -> None:
    """Two pages and a thread: 4, 6 and 5 tokens."""
    documents = [
        web("Hi.", 0, toxicity=0.7),
        web("Hello", 4, toxicity=None),
        thread("Oi!!", 9, toxicity=1.0),
    ]
    tables = inspect(open_mix(write(tmp_path / "t" / "1", documents=documents)))["tables"]
    short = {name: {row["value"]: row["n_tokens"] for row in rows} for name, rows in tables.items()}

    assert {"0.7–0.8": 4, "(none)": 6, "0.9–1.0": 5} == short["band"]
    assert {"site0.example": 4, "site1.example": 6, "/pol/": 5} == short["place"]
    assert {"2019": 10, "2017": 5} == short["year"]
    assert {"en": 10, "(none)": 5} == short["language"]
    assert {"0–15": 15} == short["length"]
    assert {"clean": 10, "toxic": 5} == short["component"]


def test_any_column_can_be_a_table_and_others_are_named(mix: Opened) -> None:
    """`--by thread` works; `--by colour` says what there is."""
    assert "thread" in inspect(mix, by=("thread",))["tables"]
    with pytest.raises(UsageError, match="no column 'colour'"):
        inspect(mix, by=("colour",))


@pytest.mark.parametrize(
    ("where", "tag"),
    [
        ({"toxic": "rudeness >= 0.5"}, "rudeness"),
        ({"clean": "n_bytes > 1 and 0.9 > toxicity"}, "toxicity"),
        ({}, "toxicity"),
    ],
)
def test_bands_are_of_the_score_that_decides(
    tmp_path: Path, where: dict[str, str], tag: str
) -> None:
    """`age` comes first in the alphabet, but no clause asks for it."""
    documents = [
        web("Hi.", 0, age=0.1, rudeness=0.1, toxicity=0.1),
        thread("Oi!!", 9, age=0.9, rudeness=0.9, toxicity=0.9),
    ]
    mix = open_mix(write(tmp_path / "t" / "1", documents=documents, where=where))

    assert tag == inspect(mix)["tag"]
    assert "age" == inspect(mix, tag="age")["tag"]
