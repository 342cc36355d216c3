"""A SELECT is answered, and nothing else is run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.audit.opened import Opened
from curate.audit.query import query, refusal
from curate.errors import UsageError
from tests.audit.conftest import DOCUMENTS
from tests.tiny_mix import key


def test_a_select_is_answered(mix: Opened) -> None:
    """Sums by component, keys as hex digits."""
    found = query(
        mix, "SELECT component, SUM(n_tokens) AS n FROM spans GROUP BY component ORDER BY n"
    )

    assert [{"component": "toxic", "n": 100}, {"component": "clean", "n": 400}] == found["rows"]
    first = query(mix, "SELECT key FROM spans WHERE id = '4chan:pol/100'")
    assert [{"key": key("4chan:pol/100").hex()}] == first["rows"]


def test_an_auditor_s_questions_are_selects(mix: Opened) -> None:
    """Documents of a domain in a shard, the newest text, what sits at the threshold."""
    domain = query(
        mix,
        "SELECT id, shard FROM spans WHERE shard = 1 AND registered_domain = 'site1.example'",
    )
    newest = query(mix, "SELECT MAX(timestamp) AS newest FROM spans")
    border = query(mix, "SELECT id FROM spans WHERE toxicity BETWEEN 0.505 AND 0.515")

    assert {1} == {row["shard"] for row in domain["rows"]}
    assert all("https://site1.example/" in row["id"] for row in domain["rows"])
    assert [{"newest": max(d.timestamp or 0 for d in DOCUMENTS)}] == newest["rows"]
    assert ["4chan:pol/101"] == [row["id"] for row in border["rows"]]


HARMLESS = [
    "select id from spans where id like '%read_csv(%' limit 3",
    "SELECT COUNT(*) FROM spans WHERE (n_tokens > 3) AND component IN ('clean', 'toxic');",
    "with s as (select n_tokens from spans) select max(n_tokens) from s",
    "SELECT CASE WHEN (cut) THEN 1 ELSE 0 END AS c FROM spans",
    'SELECT "registered_domain", COUNT(DISTINCT "key") FROM spans GROUP BY registered_domain',
]


@pytest.mark.parametrize("sql", HARMLESS)
def test_harmless_queries_run(mix: Opened, sql: str) -> None:
    """Strings may say what they like."""
    assert query(mix, sql)["columns"]


HOSTILE = [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM READ_PARQUET('{file}')",
    "SELECT * FROM read_json /* x */ ('{file}')",
    "SELECT * FROM \"read_csv\"('{file}')",
    "SELECT * FROM `read_csv`('{file}')",
    "SELECT * FROM spans UNION ALL SELECT * FROM read_ipc('{file}')",
    "WITH a AS (SELECT * FROM scan_csv('{file}')) SELECT * FROM a",
    "SELECT (SELECT MAX(x) FROM read_csv ('{file}')) FROM spans",
    "SELECT * FROM '{file}'",
    'SELECT * FROM "{file}"',
    "DROP TABLE spans",
    "CREATE TABLE x AS SELECT * FROM spans",
    "TRUNCATE TABLE spans",
    "DELETE FROM spans",
    "SELECT * INTO x FROM spans",
    "SELECT 1; DROP TABLE spans",
    "SELECT 1 FROM spans -- '",
    "EXPLAIN SELECT * FROM spans",
    "SHOW TABLES",
    "SELECT 'a",
    "SELECT * FROM spans WHERE id = 'it''s' AND read_csv('x') = 1",
    "",
    "SELECT " + "(" * 200_000,
    "SELECT nothing FROM spans",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_queries_are_refused(mix: Opened, tmp_path: Path, sql: str) -> None:
    """No file is opened, nothing is changed, and the message is an answer."""
    (tmp_path / "secret.csv").write_text("x\n1\n")

    with pytest.raises(UsageError):
        query(mix, sql.replace("{file}", str(tmp_path / "secret.csv")))


@given(name=st.from_regex(r"[A-Za-z0-9_]{0,12}[ \n]?", fullmatch=True))
def test_no_function_outside_the_list_is_ever_called(name: str) -> None:
    """However a table function is spelled, the refusal comes before polars."""
    assert "" != refusal(f"SELECT * FROM read_{name}('x')")
