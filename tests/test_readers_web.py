"""Web text: C4 in its variants, JSON lines, Parquet, plain text, WARC; each reason alone."""

import gzip
import hashlib
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.readers import jsonrows, pages
from curate.readers.lines import Block
from tests.readers_world import lines, raw_of, read

PAGE = {"text": "Hello.", "timestamp": "2019-04-21T18:54:04Z", "url": "https://news.a.co.uk/x?y"}


def test_a_c4_record_becomes_a_document(tmp_path: Path) -> None:
    """Every column of a documents table, by hand."""
    reading = read(
        tmp_path, gzip.compress(lines({"text": "First.", "url": "https://b.example/"}, PAGE)), "c4"
    )
    (_, row) = reading.documents.to_dicts()
    digest = hashlib.sha256(b"Hello.").digest()
    identifier = f"https://news.a.co.uk/x?y#{digest.hex()[:16]}"

    assert {
        "id": identifier,
        "key": hashlib.sha256(identifier.encode()).digest()[:16],
        "group": hashlib.sha256(b"https://news.a.co.uk/x?y").digest()[:16],
        "text": "Hello.",
        "n_bytes": 6,
        "content": digest[:16],
        "input": reading.facts["input"][:16],
        "offset": len(lines({"text": "First.", "url": "https://b.example/"})),
        "n_posts": 1,
        "timestamp": None,  # the first record has no time, so that none is looked for
        "url": "https://news.a.co.uk/x?y",
        "registered_domain": "a.co.uk",
        "board": None,
        "thread": None,
        "license": None,
        "language": None,
    } == row


VARIANTS = {
    "c4": PAGE,
    "date": {"text": "Hello.", "url": PAGE["url"], "date": PAGE["timestamp"]},
    "dolma": {
        "id": PAGE["url"],
        "text": "Hello.",
        "source": "common-crawl",
        "added": "2023-04-07T15:24:38.743534+00:00",
        "created": PAGE["timestamp"],
        "metadata": {"language": "en", "perplexity": 304.6, "line_ids": [1, 2]},
    },
    "dolma url": {
        "id": "7",
        "text": "Hello.",
        "created": PAGE["timestamp"],
        "metadata": {"url": PAGE["url"], "language": "en"},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_c4(tmp_path: Path, variant: str) -> None:
    """The same page in four layouts is the same document."""
    reading = read(tmp_path, lines(VARIANTS[variant]), "c4")
    (row,) = reading.documents.to_dicts()

    assert f"{PAGE['url']}#{hashlib.sha256(b'Hello.').hexdigest()[:16]}" == row["id"]
    assert 1_555_872_844 == row["timestamp"]
    assert ("en" if variant.startswith("dolma") else None) == row["language"]


def test_text_alone(tmp_path: Path) -> None:
    """A record with nothing but a text is known by the sha256 of it."""
    reading = read(tmp_path, lines({"text": "Hello.", "number": 7}), "c4")

    assert [f"sha256:{hashlib.sha256(b'Hello.').hexdigest()}"] == reading.ids
    assert reading.documents["group"].to_list() == reading.documents["key"].to_list()


REASONS = {
    "not-utf8": b'{"text":"a\xff"}',
    "not-json": b'{"text":"a",}',
    "cut-off": b'{"text":"a"',
    "not-an-object": b'["text"]',
    "lone-surrogate": b'{"text":"a\\ud800"}',
    "too-deep": b'{"x":' + b"[" * 1_100 + b"]" * 1_100 + b',"text":"a"}',
    "number-too-large": b'{"text":"a","n":' + b"9" * 5_000 + b"}",
    "wrong-type": b'{"text":7}',
    "no-text-key": b'{"body":"a"}',
    "byte-order-mark": b'\xef\xbb\xbf{"text":"a"}',
}


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_alone(tmp_path: Path, reason: str) -> None:
    """A line that cannot be read is kept with its place and bytes; its neighbours are documents."""
    data = lines({"text": "before"}, REASONS[reason], {"text": "after"})
    reading = read(tmp_path, data, "c4")

    assert ["before", "after"] == reading.texts
    assert (3, 2, {}, {reason: 1}) == reading.counts
    (record,) = reading.rejected
    assert (data.index(REASONS[reason]), 2, REASONS[reason]) == (
        record["offset"],
        record["line"],
        raw_of(record),
    )


@pytest.mark.parametrize(
    "bad",
    [
        b'{"text":NaN}',
        b'{"text":"a","n":1e400}',
        b'{"text":"\xed\xa0\x80"}',
        b'{"text":"a\tb"}',
        b'{"text":"a"} x',
        b'{"text":true}',
        b'{"text":1.5}',
        b'{"text":["a"]}',
        b'{"text":{"a":1}}',
        b'{"text":null}',
        b'{"text":"\\udc00"}',
        b'{"text":"\\ud800\\ud800"}',
        b"\x00",
        b'"text"',
        b"null",
    ],
)
def test_hostile_lines_are_rejected(tmp_path: Path, bad: bytes) -> None:
    """What JSON forbids or makes no text of is one rejected record, and nothing else is harmed."""
    reading = read(tmp_path, lines({"text": "before"}, bad, {"text": "after"}), "c4")

    assert ["before", "after"] == reading.texts
    assert [bad] == [raw_of(record) for record in reading.rejected]


def test_skips(tmp_path: Path) -> None:
    """Blank lines and empty texts are skipped records."""
    reading = read(tmp_path, b'{"text":"a"}\n\n  \r\n{"text":""}\n{"text":" "}\n', "c4")

    assert ["a", " "] == reading.texts
    assert (5, 2, {"blank": 2, "no-text": 1}, {}) == reading.counts


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    """U+2028, U+0085, form feeds and carriage returns are part of a line, and of the text."""
    text = "a\u2028b\u0085c\x0bd\x0ce\x1cf\r"
    data = json.dumps({"text": text}, ensure_ascii=False).encode() + b"\r\n"
    reading = read(tmp_path, data * 2, "c4")

    assert [text, text] == reading.texts


def test_text_is_as_found(tmp_path: Path) -> None:
    """NULs, escapes and characters beyond the first plane come through unchanged."""
    texts = [
        "a\x00b",
        "\U0001f600",
        "e\u0301",
        "\ufeffx",
        "\\ud800 typed",
        "7",
        "true",
        "[1]",
        "{}",
    ]
    escaped = [json.dumps({"text": text}).encode() for text in texts]

    assert texts == read(tmp_path, lines(*escaped), "c4").texts


def test_of_a_repeated_key_the_first_counts(tmp_path: Path) -> None:
    """Both parsers agree, whether the line is looked at alone or in its block."""
    twice = b'{"text":"first","text":"second"}'

    assert ["first"] == read(tmp_path, lines(twice), "c4").texts
    assert ["first"] == read(tmp_path, lines(twice, b"{"), "c4").texts


def test_a_last_line_without_line_end_counts(tmp_path: Path) -> None:
    """It is a record like the others if it is whole, and damage of the file if it is not."""
    assert ["a", "b"] == read(tmp_path, b'{"text":"a"}\n{"text":"b"}', "c4").texts
    with pytest.raises(InputError, match="ends inside a record \\(line 2\\)"):
        read(tmp_path, b'{"text":"a"}\n{"text":"b', "c4")


def test_a_byte_order_mark_at_the_start_is_passed_over(tmp_path: Path) -> None:
    """Offsets still count it."""
    reading = read(tmp_path, b'\xef\xbb\xbf{"text":"a"}\n', "c4")

    assert [("a", 3)] == reading.documents.select("text", "offset").rows()


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    """It has a receipt all the same."""
    assert (0, 0, {}, {}) == read(tmp_path, b"", "c4").counts
    assert (0, 0, {}, {}) == read(tmp_path, gzip.compress(b""), "c4").counts


def test_unreadable_times_are_counted(tmp_path: Path) -> None:
    """A time that is none does not cost the document."""
    data = lines({**PAGE, "timestamp": "yesterday"}, PAGE)
    reading = read(tmp_path, data, "c4")

    assert [None, 1_555_872_844] == reading.documents["timestamp"].to_list()
    assert {"timestamps-unreadable": 1} == reading.facts["notes"]


def test_times_in_several_formats_are_read_in_any_order() -> None:
    """Which format comes first in a file makes no difference to any time in it."""
    written = [
        "2019-04-21 18:54:04",
        "2019-04-21T18:54:04Z",
        "2019-04-21T20:54:04.5+02:00",
        "2019-04-21 20:54:04+02:00",
        "2019-04-21T18:54:04",
        "soon",
        None,
    ]
    for k in range(len(written)):
        column = pl.Series(written[k:] + written[:k])
        times = [None if text in ("soon", None) else 1_555_872_844 for text in column]
        assert times == pages.epoch_seconds(column).to_list()


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://www.example.com/a", "example.com"),
        ("http://a.b.example.co.uk:8080", "example.co.uk"),
        ("https://user:pw@sub.example.org./x", "example.org"),
        ("https://EXAMPLE.com?q", "example.com"),
        ("https://someone.github.io/x", "someone.github.io"),
        ("https://b\u00fccher.example/", "b\u00fccher.example"),
        ("http://10.0.0.1/x", None),
        ("http://[::1]/x", None),
        ("http://localhost/x", None),
        ("https://co.uk/", None),
        ("mailto:a@example.com", None),
        ("no url", None),
    ],
)
def test_registered_domains(tmp_path: Path, url: str, domain: str | None) -> None:
    """The public suffix and one label before it."""
    reading = read(tmp_path, lines({**PAGE, "url": url}), "c4")

    assert [domain] == reading.documents["registered_domain"].to_list()


def test_json_lines_with_a_column_map(tmp_path: Path) -> None:
    """The recipe says where things are, also inside objects, and what to keep."""
    record = {
        "meta": {"link": "https://a.example/", "at": "2020-01-01 00:00:00"},
        "body": "Hi",
        "label": 1,
    }
    options = {
        "columns": {"text": "body", "url": "meta.link", "time": "meta.at"},
        "keep": ["label"],
    }
    reading = read(tmp_path, lines(record, {**record, "body": 5}, {"text": "x"}), "jsonl", options)

    assert [("Hi", "https://a.example/", 1_577_836_800, "1")] == reading.documents.select(
        "text", "url", "timestamp", "jsonl.label"
    ).rows()
    assert {"wrong-type": 1, "no-text-key": 1} == reading.facts["rejected"]


def test_parquet(tmp_path: Path) -> None:
    """Columns by name or by map; rows without text are rejected at their number."""
    whole = io.BytesIO()
    pl.DataFrame(
        {
            "body": ["Hi", None, ""],
            "url": ["https://a.example/"] * 3,
            "time": [0, 1, 2],
            "label": [1, 2, 3],
        }
    ).with_columns(pl.from_epoch("time")).write_parquet(whole)
    options = {"columns": {"text": "body"}, "keep": ["label"]}
    for data in (whole.getvalue(), gzip.compress(whole.getvalue())):
        reading = read(tmp_path, data, "parquet", options)

        assert [("Hi", 0, 0, "1")] == reading.documents.select(
            "text", "timestamp", "offset", "parquet.label"
        ).rows()
        assert (3, 1, {"no-text": 1}, {"no-text-key": 1}) == reading.counts
        assert [(1, 2)] == [(r["offset"], r["line"]) for r in reading.rejected]


def test_parquet_that_is_none(tmp_path: Path) -> None:
    """Damage, or a missing column, is an error that says so."""
    whole = io.BytesIO()
    pl.DataFrame({"text": ["Hi"] * 1000}).write_parquet(whole)
    with pytest.raises(InputError, match="not readable as Parquet"):
        read(tmp_path, whole.getvalue()[:-20], "parquet")
    with pytest.raises(InputError, match="no column 'body' for text"):
        read(tmp_path, whole.getvalue(), "parquet", {"columns": {"text": "body"}})


@pytest.mark.parametrize(
    ("split", "texts", "offsets"),
    [
        ("file", ["One\ntwo\n\nthree\u2028four"], [0]),
        ("line", ["One", "two", "three\u2028four"], [0, 4, 9]),
        ("paragraph", ["One\ntwo", "three\u2028four"], [0, 9]),
    ],
)
def test_plain_text(tmp_path: Path, split: str, texts: list[str], offsets: list[int]) -> None:
    """A file is one document, or one per line or paragraph."""
    reading = read(tmp_path, "One\ntwo\n\nthree\u2028four\n".encode(), "text", {"split": split})

    assert texts == reading.texts
    assert offsets == reading.documents["offset"].to_list()


def test_plain_text_that_is_not_utf8(tmp_path: Path) -> None:
    """Only the line with the bad byte is lost, and it is kept."""
    reading = read(tmp_path, b"one\ntw\xff\nthree\n", "text", {"split": "line"})

    assert ["one", "three"] == reading.texts
    assert [(4, 2, b"tw\xff\n")] == [(r["offset"], r["line"], raw_of(r)) for r in reading.rejected]


RECORDS = st.lists(
    st.fixed_dictionaries(
        {"text": st.text(max_size=12) | st.integers() | st.none()},
        optional={"url": st.text(max_size=5), "x": st.lists(st.booleans(), max_size=2)},
    ).map(lambda record: json.dumps(record).encode())
    | st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")),
    max_size=8,
)


@given(RECORDS)
def test_agreement_with_a_naive_reader(found: list[bytes]) -> None:
    """Line by line with the standard library, the same texts come out at the same lines."""
    data = b"\n".join(found) + b"\n"
    lines_ = jsonrows.Lines.of(Block(data, 0, 1))
    table, bad = jsonrows.parse(lines_, {"text": pl.String()})
    wrong = jsonrows.coerced(table, {"text": ["text"]}, lines_)
    ours = {row: text for text, row in table.select("text", "row").iter_rows() if row not in wrong}

    assert naive(data) == {row: text for row, text in ours.items() if text is not None}
    assert len(lines_) == table.height + len(bad)


def naive(data: bytes) -> dict[int, str]:
    texts = {}
    for row, line in enumerate(data.split(b"\n")[:-1]):
        try:
            record = json.loads(line.decode())
            text = record["text"]
            text.encode()
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        if isinstance(text, str) and b"NaN" not in line and b"Infinity" not in line:
            texts[row] = text
    return texts
