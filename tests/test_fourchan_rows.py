"""4chan dumps with a row per post: archives, scrapes, Parquet; rendered threads."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.readers import csvrows
from curate.readers.fourchan import rows
from curate.readers.fourchan.tables import ASAGI
from curate.readers.options import ROLES
from tests.readers_world import asagi_row, lines, post_rows, raw_of, read


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


def test_roles_are_the_same_everywhere() -> None:
    """The roles a recipe may name are those the reader knows."""
    assert set(ROLES) == set(rows.NAMES)


def test_gzip_of_rows(tmp_path: Path) -> None:
    """Compression is told from the bytes, for rows as for lines."""
    assert ["Hi"] == read(tmp_path, gzip.compress(asagi_row()), "4chan").texts
