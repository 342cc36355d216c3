"""What was changed on purpose is what differs."""

import json
from pathlib import Path
from typing import Any

from curate.audit.diff import diff
from curate.audit.opened import Opened, open_mix
from tests.audit.conftest import BUDGETS, DOCUMENTS
from tests.tiny_files import seal
from tests.tiny_mix import WHERE, Document, write


def test_equal_mixes_do_not_differ(folder: Path, mix: Opened) -> None:
    """Nothing in, nothing out, every shard the same."""
    found = diff(mix, open_mix(folder))

    assert found["same_content"] and not found["totals"] and not found["declared"]
    assert 0 == found["documents"]["in"]["n_documents"] == found["documents"]["out"]["n_documents"]
    assert [] == found["shards"]["different"]


def test_a_removed_document_is_what_differs(tmp_path: Path, mix: Opened) -> None:
    """The next version without one page: that page is out; the toxic part is the same."""
    rest = [d for d in DOCUMENTS if d.url != "https://site2.example/5"]
    folder = write(
        tmp_path / "tiny" / "1.0.1",
        documents=rest,
        budgets=BUDGETS,
        shard_tokens=200,
        version="1.0.1",
    )
    found = diff(mix, open_mix(folder), read_bytes=True)
    [out] = found["documents"]["out"]["listed"]

    assert "https://site2.example/5" in out["id"]
    assert {"clean": False, "toxic": True} == {
        c["name"]: c["same_stream"] for c in found["components"]
    }
    site = next(r for r in found["tables"]["place"] if r["value"] == "site2.example")
    assert site["a"] - site["b"] == out["n_tokens"] - (400 - 400) - _gained(found, "site2.example")


def _gained(found: dict[str, Any], site: str) -> int:
    """Tokens that a site's other pages gained: the cut document is cut elsewhere."""
    row = next(r for r in found["tables"]["place"] if r["value"] == site)
    out = sum(d["n_tokens"] for d in found["documents"]["out"]["listed"] if site in d["id"])
    return int(row["b"]) - (int(row["a"]) - out)


def test_byte_ranges_are_where_the_bytes_differ(tmp_path: Path) -> None:
    """Two mixes of one document of ten letters, of which the third and fourth differ."""
    a, b = (
        open_mix(
            write(tmp_path / name / "1", name=name, documents=[Document("sha256:1", text, "clean")])
        )
        for name, text in (("one", "abcdefghij"), ("two", "abXXefghij"))
    )
    [pair] = diff(a, b, read_bytes=True)["shards"]["different"]

    assert {"n_ids": 2, "ranges": [[4, 8]]} == pair["bytes"]
    assert [[0, 22]] == pair["spans_a"] == pair["spans_b"]


def test_changes_of_declarations_are_named_field_by_field(folder: Path, tmp_path: Path) -> None:
    """Another tool version, everything else the same."""
    other = write(
        tmp_path / "t" / "1", documents=DOCUMENTS, budgets=BUDGETS, shard_tokens=200, where=WHERE
    )
    facts = json.loads((other / "manifest.json").read_bytes())
    facts["origin"]["tool"]["version"] = "2"
    seal(other, facts)
    found = diff(open_mix(folder), open_mix(other))

    assert [{"field": "tool.version", "a": "1", "b": "2"}] == found["declared"]
    assert found["same_content"]
