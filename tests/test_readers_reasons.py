"""Every reason for which a record is no document, each triggered alone."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.readers import warc
from curate.readers.base import Tally
from curate.readers.options import OPTIONS
from curate.readers.reasons import REJECTED, SKIPPED
from tests.readers_world import asagi_row, lines, read, thread, warc_record, warc_response

POSTS = {"document": "post"}
ROWS = b"no,resto,com\n5,0,text\n"


def a_row_without_text() -> bytes:
    whole = io.BytesIO()
    pl.DataFrame({"text": ["Hi", None]}).write_parquet(whole)
    return whole.getvalue()


def web_page(body: bytes, media: str = "text/html") -> bytes:
    return warc_record("response", "https://a.example/", warc_response(body, media))


DUMPS: dict[str, list[tuple[str, dict[str, Any], bytes]]] = {
    "blank": [
        ("c4", {}, b" \t\n"),
        ("4chan", {}, lines(thread({"com": "a"})) + b"\n"),
        ("4chan", POSTS, ROWS + b"\n"),
    ],
    "no-text": [
        ("c4", {}, b'{"text":""}\n'),
        ("text", {"split": "line"}, b"\n"),
        ("4chan", {}, lines(thread({"com": "<br> "}))),
        ("4chan", POSTS, lines(thread({}))),
        ("4chan", POSTS, ROWS + b"6,5,\n"),
    ],
    "image-only": [
        ("4chan", {}, lines(thread({"filename": "a"}))),
        ("4chan", POSTS, lines(thread({"filename": "a"}))),
        ("4chan", POSTS, asagi_row(comment=None, media_filename="a.jpg")),
    ],
    "ghost": [("4chan", POSTS, asagi_row(subnum="1")), ("4chan", {}, asagi_row(subnum="1"))],
    "no-posts": [("4chan", {}, b'{"posts":[]}\n')],
    "thread-list": [("4chan", {}, b'[{"page":1,"threads":[{"no":5,"last_modified":1}]}]')],
    "archive-list": [("4chan", {}, b"[5]")],
    "board-list": [("4chan", {}, b'{"boards":[{"board":"g"}]}')],
    "not-html": [("warc", {}, web_page(b"\x89PNG", "image/png"))],
    "not-http": [("warc", {}, warc_record("response", "dns:a.example", b"a.example 127.0.0.1"))],
    **{
        kind: [("warc", {}, warc_record(kind, "urn:x", b"x: y\r\n"))]
        for kind in ("warcinfo", "metadata", "resource")
    },
    "request": [("warc", {}, warc_record("request", "urn:x", b"GET / HTTP/1.1\r\n\r\n"))],
    "revisit": [("warc", {}, warc_record("revisit", "urn:x", warc_response(b"")))],
    "other-record": [("warc", {}, warc_record("invented", "urn:x", b"x"))],
    "not-utf8": [
        ("c4", {}, b'{"text":"a\xff"}\n'),
        ("text", {"split": "line"}, b"a\xff\n"),
        ("4chan", {}, b'{"posts": [{"no":1,"com":"\xff"}]}\n'),
        ("4chan", {}, b'{"posts": [{"no":1,"name":"\xff"}]}\n'),
        ("4chan", POSTS, ROWS + b"6,5,\xff\n"),
        ("warc", {}, web_page(b"<p>\xff</p>", "text/html; charset=utf-8")),
    ],
    "not-json": [("c4", {}, b'{"text":"a",}\n'), ("4chan", {}, b'{"posts": [{"no":NaN}]}\n')],
    "cut-off": [
        ("c4", {}, b'{"text":"a\n'),
        ("4chan", {}, b'{"posts":[{"no":5\n{"posts":[{"no":7,"com":"a"}]}\n'),
    ],
    "not-an-object": [("c4", {}, b'["a"]\n'), ("4chan", {}, b'["a"]\n')],
    "lone-surrogate": [
        ("c4", {}, b'{"text":"\\ud800"}\n'),
        ("4chan", {}, b'{"posts": [{"no":5,"com":"\\udbff"}]}\n'),
    ],
    "too-deep": [("c4", {}, b'{"text":"a","x":' + b"[" * 1_100 + b"]" * 1_100 + b"}\n")],
    "number-too-large": [("c4", {}, b'{"text":"a","x":1' + b"0" * 5_000 + b"}\n")],
    "byte-order-mark": [("c4", {}, b'{"text":""}\n\xef\xbb\xbf{"text":"a"}\n')],
    "too-long": [
        ("c4", {}, b'{"text":"' + b"a" * (12 << 20) + b'"}\n'),
        ("text", {"split": "line"}, b"a" * (12 << 20) + b"b"),
        ("warc", {}, web_page(b"a" * (warc.MAX_PAGE + 1))),
    ],
    "too-many-values": [
        ("c4", {}, b'{"text":"a","x":[' + b"1," * (5 << 19) + b"1]}\n"),
        ("4chan", {}, b'{"posts":[{"no":1,"com":"a"}' + b",{}" * 100_000 + b"]}\n"),
        ("warc", {}, web_page(b"<b>" * (warc.MAX_TAGS + 1))),
    ],
    "too-many-posts": [
        (
            "4chan",
            {},
            b"no,resto,com\n" + b"".join(b"%d,1,a\n" % k for k in range(1, 100_002)),
        ),
    ],
    "wrong-type": [
        ("c4", {}, b'{"text":7}\n'),
        ("4chan", {}, b'{"posts": [{"no":"5"}]}\n'),
        ("4chan", {}, b'{"posts": [{"no":5,"com":true}]}\n'),
    ],
    "no-text-key": [("c4", {}, b'{"url":"a"}\n'), ("parquet", {}, a_row_without_text())],
    "no-posts-key": [("4chan", {}, b'{"board":"g"}\n')],
    "no-post-number": [
        ("4chan", {}, b'{"posts":[{"com":"a"}]}\n'),
        ("4chan", POSTS, ROWS + b"x,5,a\n"),
    ],
    "no-thread-number": [("4chan", POSTS, ROWS + b"6,,a\n")],
    "not-a-rendered-thread": [("4chan", {"dump": "rendered"}, b'{"text":"a"}\n')],
    "stray-quote": [("4chan", POSTS, ROWS + b'6,5,"a\n' + b"7,5,a\n" * 200_000)],
    "wrong-field-count": [
        ("4chan", POSTS, ROWS + b"6,5\n"),
        ("4chan", POSTS, asagi_row() + b'"a"\n'),
    ],
    "not-csv": [("4chan", POSTS, ROWS + b'6,5,"a"b\n')],
    "unknown-charset": [("warc", {}, web_page(b"a", "text/html; charset=klingon"))],
    "not-in-charset": [("warc", {}, web_page(b"\x81\xff", "text/html; charset=shift_jis"))],
}
"""Reason → dumps (reader, options, bytes) with one record of that reason, and maybe documents."""

BESIDES = {"byte-order-mark": {"no-text": 1}}
"""What a fixture has to have besides its one record."""


def test_no_reason_is_left_out() -> None:
    """There is a dump for every reason that a receipt can give, and for no other."""
    assert {*SKIPPED, *REJECTED} == set(DUMPS)
    assert not set(SKIPPED) & set(REJECTED)


def test_the_manual_has_them_all(root: Path) -> None:
    """docs/readers.md explains every reason in these words, and names every option."""
    manual = (root / "docs/readers.md").read_text()
    rows = [f"| `{reason}` | {meaning} |" for reason, meaning in {**SKIPPED, **REJECTED}.items()]

    assert [] == [row for row in rows if row not in manual]
    assert [] == [f"| `{name}` |" for name in OPTIONS["4chan"] if f"| `{name}` |" not in manual]
    assert [] == [f"`{name}`" for name in OPTIONS if f"| `{name}` |" not in manual]


@pytest.mark.parametrize(
    ("reason", "k"), [(reason, k) for reason, dumps in DUMPS.items() for k in range(len(dumps))]
)
def test_one_record_one_reason(tmp_path: Path, reason: str, k: int) -> None:
    """A dump with one such record has that reason once in its receipt, and no other."""
    reader, options, data = DUMPS[reason][k]
    facts = read(tmp_path, data, reader, options).facts
    skipped, rejected = ({reason: 1}, {}) if reason in SKIPPED else ({}, {reason: 1})

    assert ({**skipped, **BESIDES.get(reason, {})}, rejected) == (
        facts["skipped"],
        facts["rejected"],
    )


def test_other_reasons_are_refused(tmp_path: Path) -> None:
    """A reader cannot give a reason that nobody explains, nor take one kind for the other."""
    with Tally("0" * 16, tmp_path / "rejected") as tally:
        for reason in ("because", "not-utf8"):
            with pytest.raises(ValueError, match="is not among the reasons"):
                tally.skip(reason)
        with pytest.raises(ValueError, match="'blank' is not among the reasons"):
            tally.reject(offset=0, line=1, reason="blank", raw=b"")
