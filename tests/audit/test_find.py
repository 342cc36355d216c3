"""Planted documents are found, and so are the reasons why others are not there."""

import json
from pathlib import Path

import polars as pl
import pytest

from curate.audit.find import find
from curate.audit.opened import Opened, open_mix
from curate.errors import UsageError
from tests.audit.conftest import DOCUMENTS, spans_of
from tests.tiny_files import ids_of, seal
from tests.tiny_mix import WHERE, Document, key, web, write


def test_a_thread_is_found_with_its_place(mix: Opened, folder: Path) -> None:
    """/pol/100 is one span of the toxic component; its bytes are where it says."""
    found = find(mix, thread="pol/100")
    [span] = found["spans"]
    ids = ids_of(folder)[span["token"] : span["token"] + span["n_tokens"]]

    assert (1, 1, [0]) == (found["n_spans"], found["n_documents"], found["epochs"])
    assert b"You fool 0!" == bytes(ids[:11].tolist())
    assert "toxic" == span["component"]
    assert found["spans"] == find(mix, id_="4chan:pol/100")["spans"]


def test_every_epoch_of_a_document_is_found(tmp_path: Path) -> None:
    """Read three times, in three epochs, in other places each time."""
    folder = write(tmp_path / "t" / "1", documents=DOCUMENTS, budgets={"clean": 1_500, "toxic": 99})
    wanted = [r for r in spans_of(folder) if r["url"] == "https://site1.example/1"]
    found = find(open_mix(folder), url="https://site1.example/1")

    assert sorted({r["epoch"] for r in wanted}) == found["epochs"]
    assert [r["start"] for r in wanted] == [s["tokens"][0] for s in found["spans"]]
    assert len(wanted) > 2


def test_other_documents_with_the_same_text_are_named(tmp_path: Path) -> None:
    """Two URLs with one text."""
    twin = [web("The same words.", 1), web("The same words.", 2), web("Others.", 4)]
    found = find(open_mix(write(tmp_path / "t" / "1", documents=twin)), url=twin[0].url)

    assert [twin[1].id] == [other["id"] for other in found["duplicates"]]


def test_pieces_are_found_by_the_document_s_id(tmp_path: Path) -> None:
    """`4chan:pol/7` was split into #1 and #2; #2 can be asked for alone."""
    pieces = [
        Document(f"4chan:pol/7#{k}", f"Piece {k}.", "toxic", board="pol", thread=7) for k in (1, 2)
    ]
    mix = open_mix(write(tmp_path / "t" / "1", documents=pieces))

    assert 2 == find(mix, id_="4chan:pol/7")["n_spans"]
    assert 1 == find(mix, id_="4chan:pol/7#2")["n_spans"]


def test_without_a_record_of_what_was_dropped_the_answer_says_so(mix: Opened) -> None:
    """Nobody knows, and nobody pretends."""
    [reason] = find(mix, id_="4chan:pol/999")["left_out"]

    assert "unknown" == reason["stage"]
    assert "no dropped.parquet" in reason["why"]


def test_a_dropped_document_is_found_with_its_clause(tmp_path: Path) -> None:
    """dropped.parquet answers without a store."""
    folder = write(tmp_path / "t" / "1", documents=DOCUMENTS)
    table = {"key": [key("4chan:pol/999")], "component": ["toxic"], "clause": ["toxicity >= 0.5"]}
    pl.DataFrame(table).write_parquet(folder / "dropped.parquet")
    seal(folder, json.loads((folder / "manifest.json").read_bytes()))
    found = find(open_mix(folder), id_="4chan:pol/999")

    assert [{"stage": "plan", "component": "toxic", "why": "toxicity >= 0.5"}] == found["left_out"]


def test_the_store_says_which_clause_left_a_document_out(tmp_path: Path) -> None:
    """A page with toxicity 0.9 was read, tagged, and is not clean."""
    bad, store = web("A rude page.", 50), tmp_path / "store"
    folder = write(tmp_path / "t" / "1", documents=DOCUMENTS, where=WHERE)
    keys = [key("before"), key(bad.id), key("after")]
    documents = {"key": keys, "input": ["0" * 16] * 3, "offset": [0, 9, 99], "text": [""] * 3}
    for kind, table in (
        ("documents/pages@0", documents),
        ("tags/pages@0/toxicity@0", {"toxicity": [0.1, 0.9, 0.2]}),
    ):
        (store / kind).mkdir(parents=True)
        pl.DataFrame(table).write_parquet(store / kind / "p-00000.parquet")
    [reason] = find(open_mix(folder), id_=bad.id, store=store)["left_out"]

    assert {
        "stage": "plan",
        "component": "clean",
        "why": "toxicity < 0.5",
        "source": "pages",
        "input": "0" * 16,
        "offset": 9,
    } == reason


def test_the_hold_out_beside_a_mix_is_asked(tmp_path: Path) -> None:
    """A held-out page is in `<recipe>-holdout`, not in the mix."""
    held = web("Kept for the exam.", 77)
    mix = write(tmp_path / "tiny" / "1.0.0", documents=DOCUMENTS)
    other = write(tmp_path / "tiny-holdout" / "1.0.0", name="tiny-holdout", documents=[held])
    seal(other, json.loads((other / "manifest.json").read_bytes()))
    [reason] = find(open_mix(mix), id_=held.id)["left_out"]

    assert "held out: its group is in tiny-holdout@1.0.0" == reason["why"]


@pytest.mark.parametrize(
    "name", [{}, {"id_": "a", "url": "b"}, {"thread": "pol"}, {"thread": "1"}, {"id_": "key:12"}]
)
def test_unclear_names_are_usage_errors(mix: Opened, name: dict[str, str]) -> None:
    """One of id, url and thread, each in its form."""
    with pytest.raises(UsageError):
        find(mix, **name)
