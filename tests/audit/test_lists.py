"""Lists of opt-outs, items of an evaluation, patterns of a person's data: planted and counted."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.audit.lists import find_items, find_listed
from curate.audit.opened import Opened, open_mix
from curate.audit.personal import is_card, is_iban, personal
from curate.errors import UsageError
from tests.tiny_mix import Document, key, thread, web, write

ITEM = "Which river flows past the old mill before it reaches the sea at last"
OTHER = "How many lamps were lit along the far bank of the quiet town that night"


@pytest.fixture
def library(tmp_path: Path) -> Callable[..., Opened]:
    """Makes mixes of given documents."""

    def make(*documents: Document) -> Opened:
        return open_mix(write(tmp_path / "lib" / "1", documents=list(documents)))

    return make


def test_every_way_to_name_a_document_is_understood(library: Callable[..., Opened]) -> None:
    """Ids, keys, URLs, threads, posts, pieces and domains; what is not there counts nothing."""
    pages = [web(f"Page {n}.", n) for n in range(6)]  # three domains, two pages each
    board = [
        thread("A thread.", 7),
        Document("4chan:pol/8/81", "A post.", "toxic", board="pol", thread=8),
        Document("4chan:pol/8/82", "Another.", "toxic", board="pol", thread=8),
        *(Document(f"4chan:pol/9#{k}", f"Piece {k}.", "toxic", board="pol") for k in (1, 2)),
    ]
    lines = {
        "# opted out in May": None,
        "": None,
        pages[0].id: 1,
        f"key:{key(pages[1].id).hex()}": 1,
        str(pages[2].url): 1,
        "SITE0.example": 2,
        "pol/7": 1,
        "4chan:pol/8": 2,
        "4chan:pol/8/82": 1,
        "4chan:pol/9#2": 1,
        "sha256:" + "0" * 64: 0,
        "https://nowhere.example/": 0,
    }
    found = find_listed(library(*pages, *board), "\n".join(lines))
    wanted = {n: count for n, count in enumerate(lines.values(), 1) if count}

    assert wanted == {m["line"]: m["n_spans"] for m in found["matches"]}
    assert (10, 8) == (found["list"]["n_entries"], found["n_matches"])
    # Page 0 is of site0 as well, post 82 of thread 8: each span once.
    assert 1 + 1 + 1 + 1 + 1 + 2 + 1 == found["n_spans"]


def test_pieces_are_of_their_document(library: Callable[..., Opened]) -> None:
    """Who lists the document means all of it."""
    pieces = [Document(f"sha256:{'a' * 64}#{k}", f"Piece {k}.", "clean") for k in (1, 2)]
    found = find_listed(library(*pieces), "sha256:" + "a" * 64)

    assert [2] == [m["n_spans"] for m in found["matches"]]


def test_the_answer_says_which_list_it_is_about(library: Callable[..., Opened]) -> None:
    """Order, blank lines and remarks do not change a list."""
    mix = library(web("Hi.", 1))
    one = find_listed(mix, "b.example\n\na.example\n")["list"]
    two = find_listed(mix, "# May\na.example\nb.example")["list"]

    assert hashlib.sha256(b"a.example\nb.example\n").hexdigest() == one["sha256"]
    assert one == two
    with pytest.raises(UsageError):
        find_listed(mix, "# nothing\n")


def test_leaked_items_are_found_and_others_are_not(library: Callable[..., Opened]) -> None:
    """One item word for word, one with a word changed, one that is not there, one too short."""
    near = OTHER.replace("quiet", "noisy")
    mix = library(
        web(f"A quiz. {ITEM.upper()}? The Thames.", 1),
        web(f"{near}!", 2),
        web("Nothing to see here but words and more words of no use.", 3),
    )
    absent = "No text of this mix has a run of five words from here"
    found = find_items(mix, "\n".join([absent, OTHER, ITEM, "Too short."]))
    by_item = {m["item"]: (m["exact"], m["span"]["url"]) for m in found["matches"]}

    assert {3: (True, "https://site1.example/1"), 2: (False, "https://site2.example/2")} == by_item
    assert (1, 1, 1) == (found["n_exact"], found["n_near"], found["n_skipped"])
    # 15 words are 11 runs of five; the twelfth is in the last four of them.
    assert [round(7 / 11, 4)] == [m["containment"] for m in found["matches"] if m["item"] == 2]


def test_an_item_in_many_documents_is_counted_in_each(library: Callable[..., Opened]) -> None:
    """The nearest is shown, the others are counted."""
    mix = library(*(web(f"{n}. {ITEM}.", n) for n in range(4)))
    [match] = find_items(mix, ITEM)["matches"]

    assert (4, True) == (match["n_spans"], match["exact"])


def test_what_is_asked_for_has_to_be_said(library: Callable[..., Opened]) -> None:
    """An empty file is no question."""
    with pytest.raises(UsageError):
        find_items(library(web("Hi.", 1)), " \n\n")


def test_patterns_are_counted_by_kind_and_component(library: Callable[..., Opened]) -> None:
    """Planted: two addresses, an IP, a telephone, a card, an IBAN; near misses are none."""
    mix = library(
        web("Write to anna@example.org, bob.b@mail.example.com or not at all @ home.", 1),
        web("Host 192.0.2.17 is down, version 1.2.3.4567 and 999.1.1.1 are not.", 2),
        thread("Call +44 20 7946 0958. Pay 4111-1111-1111-1111, never 4111 1111 1111 1112.", 3),
        thread("IBAN GB82 WEST 1234 5698 7654 32, wrong: GB83 WEST 1234 5698 7654 32.", 4),
    )
    kinds = personal(mix)["kinds"]

    assert {
        "card": {"clean": 0, "toxic": 1},
        "email": {"clean": 2, "toxic": 0},
        "iban": {"clean": 0, "toxic": 1},
        "ipv4": {"clean": 1, "toxic": 0},
        "phone": {"clean": 0, "toxic": 1},
    } == {k: {c: facts["n_matches"] for c, facts in v.items()} for k, v in kinds.items()}
    assert 1 == kinds["email"]["clean"]["n_spans"]


def test_check_digits_are_those_of_the_standards() -> None:
    """ISO/IEC 7812-1's and ISO 13616's own examples, and one digit off."""
    assert is_card("79927398713") and not is_card("79927398710")
    assert is_iban("GB82 WEST 1234 5698 7654 32") and not is_iban("GB82 WEST 1234 5698 7654 33")


def test_commands_answer_and_show_nothing(library: Callable[..., Opened], tmp_path: Path) -> None:
    """Exit 0 where something is found, 1 where nothing is; no text in any answer."""
    from click.testing import CliRunner

    from curate.cli import group

    folder = str(library(web(f"{ITEM}, asked secret@example.org", 1)).folder)
    (tmp_path / "list").write_text("site1.example\n")
    (tmp_path / "none").write_text("site9.example\n")
    (tmp_path / "items").write_text(ITEM + "\n")
    for line, code in (
        (["find", folder, "--list", str(tmp_path / "list")], 0),
        (["find", folder, "--list", str(tmp_path / "none")], 1),
        (["find", folder, "--items", str(tmp_path / "items")], 0),
        (["inspect", folder, "--personal"], 0),
    ):
        said = CliRunner().invoke(group, line)
        told = CliRunner().invoke(group, [*line, "--json"])
        assert (code, code) == (said.exit_code, told.exit_code), said.output
        assert "secret" not in said.stdout + told.stdout and "river" not in said.stdout
        assert "content_id" in json.loads(told.stdout)
    both = ["find", folder, "--list", str(tmp_path / "list"), "--id", "sha256:0"]
    with pytest.raises(UsageError):
        group.main(both, standalone_mode=False)
