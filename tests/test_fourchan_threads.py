"""4chan dumps with a thread per line, and answers of the API."""

import json
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError, UsageError
from curate.readers import jsonrows
from curate.readers.fourchan import raiders
from curate.readers.lines import Block
from curate.readers.options import declare
from tests.readers_world import lines, post_rows, raw_of, read, tar_of, thread

CATS = thread(
    {"sub": "Cats", "com": "Cat?", "country": "NZ", "filename": "cat"},
    {"com": '<a href="#p70" class="quotelink">&gt;&gt;70</a><br>Yes.'},
    {"filename": "dog"},
)
CAT_TEXT = "Cats\nCat?\n\n\n>>70\nYes."


def test_a_thread_becomes_a_document(tmp_path: Path) -> None:
    """Identity, time and counts of a thread; image-only posts are counted apart."""
    reading = read(tmp_path, lines(CATS), "4chan", {"board": "an"})
    (row,) = reading.documents.to_dicts()

    assert ("4chan:an/70", CAT_TEXT, 2, 1_500_000_002) == (
        row["id"],
        row["text"],
        row["n_posts"],
        row["timestamp"],
    )
    assert ("an", 70, "NZ", None) == (row["board"], row["thread"], row["country"], row["flag"])
    assert row["group"] == row["key"]
    assert (1, 1, {}, {}) == reading.counts
    assert {"read": 3, "image-only": 1, "no-text": 0} == reading.facts["posts"]


def test_a_post_becomes_a_document(tmp_path: Path) -> None:
    """With document = "post" a record is a post, and its group the thread."""
    reading = read(tmp_path, lines(CATS), "4chan", {"document": "post", "board": "an"})

    assert [
        ("4chan:an/70/70", "Cats\nCat?", 1_500_000_000, 70),
        ("4chan:an/70/71", ">>70\nYes.", 1_500_000_001, 70),
    ] == post_rows(reading)
    assert (3, 2, {"image-only": 1}, {}) == reading.counts
    assert 1 == reading.documents["group"].n_unique()


def test_quotelinks_dropped(tmp_path: Path) -> None:
    """Posts that were nothing but references are then without text."""
    found = thread({"com": "Cat?"}, {"com": "&gt;&gt;70"}, {"com": "&gt;&gt;70<br>Yes."})
    reading = read(tmp_path, lines(found), "4chan", {"quotelinks": "drop"})

    assert ["Cat?\n\n\nYes."] == reading.texts
    assert {"read": 3, "image-only": 0, "no-text": 1} == reading.facts["posts"]


OTHERS = dict.fromkeys(("SEVERE_TOXICITY", "INFLAMMATORY", "PROFANITY", "OBSCENE", "SPAM"), 0.5)


def test_perspective_scores_are_tags(tmp_path: Path) -> None:
    """A post's own scores; of a thread the highest and the mean; missing ones stay null."""
    found = thread(
        {"com": "a", "perspectives": {"TOXICITY": 0.25, **OTHERS}, "entities": [["x"]]},
        {"com": "b", "perspectives": {"TOXICITY": 0.75}, "extracted_poster_id": "i"},
        {"com": "c"},
    )
    whole = read(tmp_path, lines(found), "4chan").documents
    posts = read(tmp_path, lines(found), "4chan", {"document": "post"}).documents

    assert [(0.75, 0.5, 0.5)] == whole.select(
        "perspective.toxicity", "perspective.toxicity.mean", "perspective.spam"
    ).rows()
    assert [0.25, 0.75, None] == posts["perspective.toxicity"].to_list()
    assert pl.Float32 == posts.schema["perspective.toxicity"]


def test_flags_are_metadata(tmp_path: Path) -> None:
    """Meme flags under their old and new names; unknown and seasonal keys do no harm."""
    found = [
        thread({"no": 1, "com": "a", "troll_country": "AC"}),
        thread({"no": 2, "com": "b", "board_flag": "KN", "xa18": 1, "sticky": True, "now": "x"}),
    ]

    assert ["AC", "KN"] == read(tmp_path, lines(*found), "4chan").documents["flag"].to_list()


@pytest.mark.parametrize("dump", ["spaced", "compact", "mixed", "other order", "escaped", "tar"])
def test_the_same_threads_however_written(tmp_path: Path, dump: str) -> None:
    """Spaces, key order, escapes and a TAR around it make no difference to the documents."""
    second = thread({"no": 90, "com": "Dog \U0001f415 </s> \u00e9"})
    found = [CATS, second]
    spaced = "".join(json.dumps(t) + "\n" for t in found).encode()
    compact = lines(*found)
    data = {
        "spaced": spaced,
        "compact": compact,
        "mixed": json.dumps(CATS).encode() + b"\n" + lines(second),
        "other order": lines(
            *[{"posts": [dict(reversed(p.items())) for p in t["posts"]]} for t in found]
        ),
        "escaped": spaced.replace(b"/", b"\\/").replace(b"<", b"\\u003c"),
        "tar": tar_of(spaced),
    }[dump]
    reading = read(tmp_path, zstandard.compress(data), "4chan")

    assert [CAT_TEXT, "Dog \U0001f415  \u00e9"] == reading.texts
    if dump != "tar":
        assert [0, data.index(b"\n") + 1] == reading.documents["offset"].to_list()


REASONS = {
    "no-posts-key": b'{"board":"g"}',
    "no-post-number": b'{"posts":[{"com":"x"}]}',
    "wrong-type": b'{"posts":[{"no":1,"com":7}]}',
    "not-json": b'{"posts":[{"no":1,}]}',
    "cut-off": b'{"posts":[{"no":1',
    "not-utf8": b'{"posts":[{"no":1,"com":"\xff"}]}',
    "lone-surrogate": b'{"posts":[{"no":1,"com":"\\udbff"}]}',
    "not-an-object": b'"posts"',
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("document", ["thread", "post"])
def test_each_reason_alone(tmp_path: Path, reason: str, document: str) -> None:
    """A line that is no thread is kept with its place; its neighbours are documents."""
    before, after = thread({"no": 1, "com": "before"}), thread({"no": 9, "com": "after"})
    data = lines(before, REASONS[reason], after)
    reading = read(tmp_path, data, "4chan", {"document": document})

    assert ["before", "after"] == reading.texts
    assert (3, 2, {}, {reason: 1}) == reading.counts
    (record,) = reading.rejected
    assert (len(lines(before)), 2, REASONS[reason]) == (
        record["offset"],
        record["line"],
        raw_of(record),
    )


@pytest.mark.parametrize(
    "bad",
    [
        b'{"posts":[{"no":"1","com":"x"}]}',
        b'{"posts":[{"no":1.5,"com":"x"}]}',
        b'{"posts":[{"no":18446744073709551616,"com":"x"}]}',
        b'{"posts":[{"no":1,"com":["x"]}]}',
        b'{"posts":[{"no":1,"com":"x"},{"no":2,"com":true}]}',
        b'{"posts":[{"no":1,"sub":5}]}',
        b'{"posts":[{"no":1,"com":"x"},5]}',
        b'{"posts":[{"no":1,"com":"x"},null]}',
        b'{"posts":{"no":1}}',
        b'{"posts":null}',
        b'{"posts":[{"no":1,"x":[{"no":2}, {"no":3}]}, {"no":4},]}',
        b'{"posts": [{"no":1}]}]}',
        b'{"posts": [{"no":1}, {"no":2}',
    ],
)
def test_hostile_lines_are_rejected(tmp_path: Path, bad: bytes) -> None:
    """Brackets and types that do not fit are one rejected record each."""
    ours = json.dumps(thread({"no": 5, "com": "ours"})).encode()
    reading = read(tmp_path, lines(ours, bad, ours), "4chan")

    assert ["ours", "ours"] == reading.texts
    assert [bad] == [raw_of(record) for record in reading.rejected]


def test_brackets_in_nested_values_and_text(tmp_path: Path) -> None:
    """Text that looks like the border of two posts, and nested lists of them, mislead nobody."""
    border = '}, {"no":'
    found = thread(
        {"com": f"see {border} 5}}]}}"},
        {"com": "b", "entities": [{"no": 1}, {"no": 2}], "x": {"posts": [{"no": 1}]}},
    )
    data = (json.dumps(found) + "\n").encode() * 2

    assert [f"see {border} 5}}]}}\n\n\nb"] * 2 == read(tmp_path, data, "4chan").texts


def test_skips(tmp_path: Path) -> None:
    """Threads without a word are skipped, by what they have instead."""
    data = lines(
        thread({"no": 1, "filename": "x"}),
        thread({"no": 2}, {"no": 3, "filename": "x"}),
        {"posts": []},
        b"",
        thread({"no": 4, "com": "<br>"}),
    )
    reading = read(tmp_path, data, "4chan")

    assert (5, 0, {"blank": 1, "image-only": 1, "no-posts": 1, "no-text": 2}, {}) == reading.counts


def test_a_thread_without_its_opening_post(tmp_path: Path) -> None:
    """The thread is known from what its replies reply to."""
    data = lines({"posts": [{"no": 75, "resto": 70, "com": "reply"}]})
    (row,) = read(tmp_path, data, "4chan").documents.to_dicts()

    assert ("4chan:pol/70", 70, None) == (row["id"], row["thread"], row["timestamp"])


def test_the_shapes_of_the_api(tmp_path: Path) -> None:
    """Threads, index pages and catalogs are threads; lists without text are counted as such."""
    opening = {"no": 5, "time": 1, "com": "op"}
    reply = {"no": 6, "resto": 5, "time": 2, "com": "reply"}
    shapes = {
        "thread": {"posts": [opening, reply]},
        "index": {"threads": [{"posts": [opening, reply]}]},
        "catalog": [{"page": 1, "threads": [{**opening, "last_replies": [reply]}]}],
    }
    for shape in shapes.values():
        folded = json.dumps(shape, indent=1).encode()
        for data in (orjson.dumps(shape), folded, folded.replace(b"\n", b"\r\n")):
            reading = read(tmp_path, data, "4chan", {"board": "g"})

            assert ["op\n\n\nreply"] == reading.texts
            assert ["4chan:g/5"] == reading.ids
    for shape, counts in (
        (
            [{"page": 1, "threads": [{"no": 5, "last_modified": 1, "replies": 2}]}],
            {"thread-list": 1},
        ),
        ([5, 6, 7], {"archive-list": 3}),
        ({"boards": [{"board": "g"}]}, {"board-list": 1}),
    ):
        n_entries = sum(counts.values())
        assert (n_entries, 0, counts, {}) == read(tmp_path, orjson.dumps(shape), "4chan").counts


def test_answers_of_the_api_as_lines(tmp_path: Path) -> None:
    """Catalogs of several boards in one file; a thread in it that is none is rejected alone."""
    page = [{"page": 1, "threads": [{"no": 5, "time": 1, "com": "a"}, {"no": "6", "time": 1}]}]
    reading = read(tmp_path, lines(page, thread({"com": "b"}), [1, 2]), "4chan")

    assert ["a", "b"] == reading.texts
    assert (5, 2, {"archive-list": 2}, {"wrong-type": 1}) == reading.counts
    assert [b'{"posts":[{"no":"6","time":1}]}'] == [raw_of(r) for r in reading.rejected]


def test_a_web_page_is_no_dump(tmp_path: Path) -> None:
    """4chan's page for threads that are gone says so."""
    with pytest.raises(InputError, match="is a web page"):
        read(tmp_path, b"<!DOCTYPE html><html><title>404</title>", "4chan")


def test_identities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are gone by default; hashed, they need a salt, and the salt is nowhere to be found."""
    found = thread(
        {"com": "a", "name": "Ann", "trip": "!x", "id": "i1"},
        {"com": "b", "name": "Ann", "trip": "!x", "id": "i1"},
        {"com": "c", "name": "Anonymous"},
    )
    options = {"document": "post", "identities": "hash"}
    monkeypatch.delenv("CURATE_IDENTITY_SALT", raising=False)
    assert "poster" not in read(tmp_path, lines(found), "4chan", {"document": "post"}).documents
    with pytest.raises(UsageError, match="needs a private salt"):
        read(tmp_path, lines(found), "4chan", options)
    monkeypatch.setenv("CURATE_IDENTITY_SALT", "0123456789abcdef")
    first = read(tmp_path, lines(found), "4chan", options).documents["poster"].to_list()
    monkeypatch.setenv("CURATE_IDENTITY_SALT", "another private salt")
    second = read(tmp_path, lines(found), "4chan", options).documents["poster"].to_list()

    assert first[0] == first[1] != first[2]
    assert not set(first) & set(second)
    for path in (tmp_path / "out").iterdir():
        assert b"Ann" not in path.read_bytes()


POSTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "com": st.text(st.sampled_from('a<>&;}{][,":\\n\u00e9\U0001f600'), max_size=12),
            "sub": st.text(max_size=3),
            "x": st.recursive(
                st.integers() | st.text(max_size=3),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(st.sampled_from(["no", "posts", "a"]), inner, max_size=2)
                ),
                max_leaves=4,
            ),
        },
    ),
    min_size=1,
    max_size=4,
)


@given(st.lists(POSTS, min_size=1, max_size=4), st.booleans())
def test_undoing_lines_changes_nothing(threads: list[list[dict[str, Any]]], compact: bool) -> None:
    """Where lines are undone before they are parsed, the posts are those of the lists."""
    schema = raiders.post_schema(declare("4chan", {}, where="x"))
    made = [thread(*posts) for posts in threads]
    text = [
        json.dumps(t, separators=(",", ":") if compact else None, ensure_ascii=compact) + "\n"
        for t in made
    ]
    found = jsonrows.Lines.of(Block("".join(text).encode(), 0, 1))
    undone = raiders._undone(found, schema)
    table, bad = jsonrows.parse(found, {"posts": pl.List(pl.Struct(schema))})
    listed = table.explode("posts").unnest("posts")

    assert [] == bad
    if undone is not None:
        assert listed.select("row", "no", "com", "sub").equals(
            undone.select("row", "no", "com", "sub")
        )
