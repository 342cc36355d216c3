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
