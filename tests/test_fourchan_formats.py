"""4chan dumps in every form, from inventions small enough to read."""

import csv
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curate import readers
from curate.errors import InputError, UsageError
from curate.readers import csvrows, jsonrows
from curate.readers.fourchan import group, raiders, rows
from curate.readers.fourchan.tables import ASAGI
from curate.readers.lines import Block
from curate.readers.options import ROLES, declare
from tests.readers_world import Reading, lines, raw_of, read, thread

CATS = thread(
    {"sub": "Cats", "com": "Cat?", "country": "NZ", "filename": "cat"},
    {"com": '<a href="#p70" class="quotelink">&gt;&gt;70</a><br>Yes.'},
    {"filename": "dog"},
)
CAT_TEXT = "Cats\nCat?\n\n\n>>70\nYes."


def post_rows(reading: Reading) -> list[tuple[Any, ...]]:
    return reading.documents.select("id", "text", "timestamp", "thread").rows()


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


def tar_of(content: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        member = tarfile.TarInfo("pol_062016-112019_labeled.ndjson")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()


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


def asagi_row(**fields: str | None) -> bytes:
    """A row of a FoolFuuka export, as MySQL writes it."""
    defaults = {
        "num": "70",
        "subnum": "0",
        "thread_num": "70",
        "op": "1",
        "timestamp": "1500000000",
        "spoiler": "0",
        "deleted": "0",
        "capcode": "N",
        "comment": "Hi",
        "sticky": "0",
        "locked": "0",
    }
    cells = []
    for name in ASAGI:
        value = fields[name] if name in fields else defaults.get(name)
        if value is None:
            cells.append("\\N")
        else:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n")
            cells.append(f'"{escaped}"')
    return (",".join(cells) + "\n").encode()


def test_asagi(tmp_path: Path) -> None:
    """Escapes, nulls against a real "N", BBCode, New York's clock, country and flag."""
    data = (
        asagi_row(title='Say "N"', comment="a\\b, [spoiler]c[/spoiler]\nd", poster_country="US")
        + asagi_row(num="71", op="0", comment="N", title="N", exif='{"troll_country":"AC"}')
        + asagi_row(num="72", op="0", comment=None, media_filename="x &amp; y.jpg")
        + asagi_row(num="73", subnum="1", op="0", comment="ghost")
        + asagi_row(num="74", op="0", comment="", timestamp="1400000000")
    )
    reading = read(tmp_path, data, "4chan", {"document": "post", "board": "g"})

    assert [
        # 1500000000 is 14 July 2017, 02:40 in New York (DST, four hours behind UTC)
        ("4chan:g/70/70", 'Say "N"\na\\b, c\nd', 1_500_014_400, 70),
        ("4chan:g/70/71", "N", 1_500_014_400, 70),
    ] == post_rows(reading)
    assert [("US", None), (None, "AC")] == reading.documents.select("country", "flag").rows()
    assert (5, 2, {"ghost": 1, "image-only": 1, "no-text": 1}, {}) == reading.counts
    assert (
        4
        == read(tmp_path, data, "4chan", {"document": "post", "ghosts": "keep"}).facts[
            "n_documents"
        ]
        + 1
    )


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("1500000000", 1_500_014_400),  # July: four hours
        ("1480000000", 1_480_018_000),  # 24 November: five hours
        ("1478397600", 1_478_415_600),  # 6 November 2016, 02:00: five hours again
        ("1478395800", 1_478_410_200),  # 6 November 2016, 01:30: twice; the first pass
    ],
)
def test_new_york_time(tmp_path: Path, wall: str, utc: int) -> None:
    """Asagi stores the wall clock of New York as if it were UTC."""
    reading = read(tmp_path, asagi_row(timestamp=wall), "4chan", {"document": "post"})

    assert [utc] == reading.documents["timestamp"].to_list()


def test_asagi_with_header_and_with_32_columns(tmp_path: Path) -> None:
    """archived.moe has a header line, its /v/ has 32 columns and none."""
    header = ",".join(ASAGI).encode() + b"\n"
    quoted = ",".join(f'"{name}"' for name in ASAGI).encode() + b"\n"
    wide = asagi_row(comment="wide")[:-1] + b',"1","2","3","4"\n'
    for data in (header + asagi_row(), quoted + asagi_row()):
        assert ["Hi"] == read(tmp_path, data, "4chan").texts

    assert ["wide"] == read(tmp_path, wide, "4chan").texts
    with pytest.raises(InputError, match="has 5 columns and no header"):
        read(tmp_path, b'"1","0","1","1","5"\n', "4chan")


def test_rows_of_a_thread_need_not_lie_together(tmp_path: Path) -> None:
    """Posts are grouped by thread and put in order; of a post that occurs twice the last counts."""
    data = b"".join(
        asagi_row(num=str(no), thread_num=str(of), comment=text)
        for no, of, text in [
            (72, 70, "c"),
            (80, 80, "x"),
            (70, 70, "a"),
            (71, 70, "old"),
            (71, 70, "b"),
        ]
    )
    reading = read(tmp_path, data, "4chan", {"board": "g"})

    assert {"4chan:g/70": "a\n\n\nb\n\n\nc", "4chan:g/80": "x"} == dict(
        zip(reading.ids, reading.texts, strict=True)
    )
    assert 1 == reading.facts["posts"]["superseded"]
    assert 5 == reading.facts["posts"]["read"] + 1


def test_grouping_on_the_disk_is_grouping_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small runs and partitions give the same threads, and leave nothing behind."""
    data = b"".join(
        asagi_row(num=str(1000 + k), thread_num=str(1000 + k % 37), comment=f"post {k}")
        for k in range(500)
    )
    whole = read(tmp_path, data, "4chan")
    monkeypatch.setattr(csvrows, "BLOCK", 4_000)
    monkeypatch.setattr(csvrows, "LONGEST", 2_000)
    monkeypatch.setattr(group, "RUN", 5_000)
    monkeypatch.setattr(group, "PARTITION", 9_000)
    parted = read(tmp_path, data, "4chan")

    assert 37 == whole.documents.height
    assert whole.documents.sort("thread").equals(parted.documents.sort("thread"))


def scrape(rows_: list[dict[str, Any]]) -> bytes:
    """What pandas.to_csv writes: an index without a name, floats for integers, quotes doubled."""
    whole = io.StringIO(newline="")
    writer = csv.DictWriter(
        whole, ["", "name", "comment", "time", "thread", "subject"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows_)
    return whole.getvalue().encode()


SCRAPED = [
    {"": "70", "comment": "a<br>b", "time": "2017-07-14 02:40:00", "thread": "70", "subject": "S"},
    {
        "": "71.0",
        "comment": 'say "hi",\nyes',
        "time": "1500000001.0",
        "thread": "70.0",
        "subject": "S",
    },
]


def test_scraped_csv(tmp_path: Path) -> None:
    """Floats are integers, the nameless index is the post number, the subject is the thread's."""
    reading = read(tmp_path, scrape(SCRAPED), "4chan", {"document": "post"})

    assert [
        ("4chan:pol/70/70", "S\na\nb", 1_500_000_000, 70),
        ("4chan:pol/70/71", 'say "hi",\nyes', 1_500_000_001, 70),
    ] == post_rows(reading)


def test_a_column_map(tmp_path: Path) -> None:
    """The recipe says what the columns hold; a wrong name is refused with those there are."""
    data = b"a,b,c\n5,0,x\n6,5,y\n"
    columns = {"no": "a", "thread": "b", "text": "c"}
    reading = read(tmp_path, data, "4chan", {"dump": "csv", "columns": columns})

    assert ["x\n\n\ny"] == reading.texts
    with pytest.raises(InputError, match="no column 'd' for text"):
        read(tmp_path, data, "4chan", {"columns": {**columns, "text": "d"}})
    with pytest.raises(InputError, match="no column for no and thread and text"):
        read(tmp_path, data, "4chan", {"dump": "csv"})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"x,0,text", "no-post-number"),
        (b"7,,text", "no-thread-number"),
        (b"7,0", "wrong-field-count"),
        (b"7,0,text,more", "wrong-field-count"),
        (b"7,0,te\xffxt", "not-utf8"),
        (b'7,0,"te"xt', "not-csv"),
    ],
)
def test_rows_that_are_no_posts(tmp_path: Path, row: bytes, reason: str) -> None:
    """Each is kept with its place; blank lines are skipped."""
    data = b"no,resto,com\n5,0,before\n" + row + b"\n\n9,0,after\n"
    reading = read(tmp_path, data, "4chan", {"document": "post"})

    assert ["before", "after"] == reading.texts
    assert (4, 2, {"blank": 1}, {reason: 1}) == reading.counts
    assert [(data.index(row), 3, row)] == [
        (r["offset"], r["line"], raw_of(r)) for r in reading.rejected
    ]


def test_a_stray_quote_costs_one_line(tmp_path: Path) -> None:
    """A quote that is never closed takes down its own line, not the rest of the file."""
    many = b"".join(b"%d,0,post %d\n" % (k, k) for k in range(10, 120_000))
    data = b'no,resto,com\n5,0,"open\n' + many
    reading = read(tmp_path, data, "4chan", {"document": "post"})

    assert len(many) > csvrows.LONGEST
    assert 119_990 == reading.facts["n_documents"]
    assert {"stray-quote": 1} == reading.facts["rejected"]
    assert b'5,0,"open' == raw_of(reading.rejected[0])


def test_csv_cut_inside_a_field(tmp_path: Path) -> None:
    """The end of the file inside a quoted field is damage."""
    with pytest.raises(InputError, match="ends inside a quoted field"):
        read(tmp_path, b'no,resto,com\n5,0,"op', "4chan")


CELL = st.text(st.sampled_from('ab ,"\n\\N7'), max_size=5) | st.none()


@pytest.mark.parametrize("dialect", [csvrows.DOUBLED, csvrows.ESCAPED])
@given(table=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8))
def test_what_was_written_as_csv_is_read(dialect: str, table: list[tuple[str | None, ...]]) -> None:
    """Any cells, nulls among them, come back in both dialects, and records are where they are."""
    written = []
    for row in table:
        cells = []
        for cell in row:
            if cell is None:
                cells.append("" if dialect == csvrows.DOUBLED else "\\N")
            elif dialect == csvrows.DOUBLED:
                cells.append('"' + cell.replace('"', '""') + '"')
            else:
                escaped = cell.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n")
                cells.append(f'"{escaped}"')
        written.append(",".join(cells).encode())
    data = b"\n".join(written) + b"\n"
    records = csvrows.Records(data, *csvrows.cut(data, dialect), offset=0, line=1)
    found, bad = csvrows.table(records, 3, dialect)

    assert [] == bad
    assert table == [row[:3] for row in found.rows()]
    assert written == [records.raw(k) for k in range(len(records))]


def test_parquet_scrapes(tmp_path: Path) -> None:
    """The flattened copy of the Raiders dump: integers, lower-case scores, numbers as places."""
    whole = io.BytesIO()
    pl.DataFrame(
        {
            "thread_no": [70, 70, None],
            "no": [70, 71, 72],
            "com": ["Cat?", "<wbr>Yes", "lost"],
            "time": [1_500_000_000, 1_500_000_001, 3],
            "toxicity": [0.25, 0.75, 0.5],
        }
    ).write_parquet(whole)
    reading = read(tmp_path, whole.getvalue(), "4chan")

    assert ["Cat?\n\n\nYes"] == reading.texts
    assert [0.75] == reading.documents["perspective.toxicity"].to_list()
    assert (2, 1, {}, {"no-thread-number": 1}) == reading.counts
    assert [(2, 3)] == [(r["offset"], r["line"]) for r in reading.rejected]


def test_rendered_threads(tmp_path: Path) -> None:
    """Text threads are taken apart at their headers; New York's clock, with and without seconds."""
    text = (
        "Anonymous 04/26/19(Fri)22:36:49 no.70: Cat?\n>yes\n\n\n"
        "Bob !trip 04/26/19(Fri)22:40 no.75: >>70\nNo."
    )
    reading = read(tmp_path, lines({"text": text}, {"text": "no thread"}), "4chan", {"board": "an"})

    assert [("4chan:an/70", "Cat?\n>yes\n\n\n>>70\nNo.", 1_556_332_800, 70)] == post_rows(reading)
    assert (2, 1, {}, {"not-a-rendered-thread": 1}) == reading.counts


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


def test_join_merges_what_lies_apart(tmp_path: Path) -> None:
    """Two snapshots of a thread in one file are two documents, or one if the recipe says join."""
    early, late = thread({"com": "a"}), thread({"com": "a"}, {"com": "b"})

    assert ["a", "a\n\n\nb"] == read(tmp_path, lines(early, late), "4chan").texts
    assert ["a\n\n\nb"] == read(tmp_path, lines(early, late), "4chan", {"join": True}).texts


def test_join_merges_files(tmp_path: Path) -> None:
    """Posts of a thread in several files meet; what comes out does not depend on their order."""
    out = tmp_path / "out"
    data = [
        lines(thread({"com": "a"}, {"com": "b"}), b"bad"),
        lines(
            {"posts": [{"no": 71, "resto": 70, "com": "b"}, {"no": 72, "resto": 70, "com": "c"}]}
        ),
        asagi_row(num="73", op="0", comment="d"),
    ]
    inputs = []
    for k, content in enumerate(data):
        path = tmp_path / f"{k}"
        path.write_bytes(content)
        inputs.append((str(path), hashlib.sha256(content).hexdigest()))
    declaration = declare("4chan", {"join": True}, where="x")
    facts = readers.read_joined(inputs, declaration, out=out)
    joint = readers.joined_sha256([sha256 for _, sha256 in inputs])
    (row,) = pl.read_parquet(out / f"{joint[:16]}-00000.parquet").to_dicts()

    assert ("4chan:pol/70", "a\n\n\nb\n\n\nc\n\n\nd") == (row["id"], row["text"])
    assert (2, 1, {"not-json": 1}) == (facts["n_records"], facts["n_documents"], facts["rejected"])
    assert {"read": 4, "superseded": 1} == {k: facts["posts"][k] for k in ("read", "superseded")}
    assert inputs[0][1][:16] == row["input"]
    assert sum(map(len, data)) == facts["n_bytes"]
    assert facts == readers.read_joined(inputs[::-1], declaration, out=out)


def test_roles_are_the_same_everywhere() -> None:
    """The roles a recipe may name are those the reader knows."""
    assert set(ROLES) == set(rows.NAMES)


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


def test_gzip_of_rows(tmp_path: Path) -> None:
    """Compression is told from the bytes, for rows as for lines."""
    assert ["Hi"] == read(tmp_path, gzip.compress(asagi_row()), "4chan").texts
