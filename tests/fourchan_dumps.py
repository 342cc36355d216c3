"""One small invented dump of every kind: (reader, options, bytes, digest of its documents)."""

import gzip
import io
import json
from typing import Any

import polars as pl
import zstandard

from tests.readers_world import lines, tar_of, thread

_THREADS = [
    thread(
        {
            "sub": "Cats &amp; dogs",
            "com": "Which?<br><br>I say cats",
            "country": "NZ",
            "filename": "c",
        },
        {
            "com": '<a href="#p70" class="quotelink">&gt;&gt;70</a><br>'
            '<span class="quote">&gt;dogs</span>'
        },
        {"com": "lo<wbr>ng <s>hidden</s> &lt;3", "perspectives": {"TOXICITY": 0.5, "SPAM": 0.25}},
        {"filename": "only"},
    ),
    thread(
        {"no": 90, "com": "\u00e9\U0001f600\u2028x", "troll_country": "AC"},
        {"no": 99, "com": "--- 5"},
    ),
]
_PAGES = [
    {
        "text": "Hello.\nBye.",
        "timestamp": "2019-04-21T18:54:04Z",
        "url": "https://a.example.co.uk/x",
    },
    {"text": "\u00e9\U0001f600", "timestamp": "2019-04-22T18:54:04Z", "url": "https://b.example/"},
    {"text": "", "timestamp": "2019-04-22T18:54:04Z", "url": "https://c.example/"},
]
_ASAGI = (
    b'"70","0","70","1","1500000000","0",\\N,"0","0",\\N,"0","0","0",\\N,\\N,"0","0","N",\\N,'
    b'"Anonymous",\\N,"Title","Say \\"hi\\",\\\n[spoiler]x[/spoiler]","0","0",\\N,"US",\\N\n'
    b'"71","0","70","0","1500000100","0",\\N,"0","0",\\N,"0","0","0",\\N,\\N,"0","0","N",\\N,'
    b'"Anonymous",\\N,\\N,">>70\\\nyes","0","0",\\N,\\N,\\N\n'
)
_CSV = (
    b",name,comment,time,country,thread,subject\n"
    b'70,Anonymous,"a<br>b, ""c""",2026-02-07 12:00:00,US,70,S\n'
    b"71.0,Anonymous,,2026-02-07 12:00:01,,70.0,S\n"
    b'72,Anonymous,"x\ny",2026-02-07 12:00:02,,70,S\n'
)


def _scraped_parquet() -> bytes:
    whole = io.BytesIO()
    pl.DataFrame(
        {
            "thread_no": [70, 70, 90],
            "no": [70, 71, 90],
            "com": ["Cat?", "<wbr>Yes", None],
            "time": [1_500_000_000, 1_500_000_001, 1_500_000_002],
            "toxicity": [0.25, 0.75, None],
        }
    ).write_parquet(whole)
    return whole.getvalue()


def _parquet() -> bytes:
    whole = io.BytesIO()
    pl.DataFrame({"body": ["a", "b", ""], "url": ["https://a.example/", None, None]}).write_parquet(
        whole
    )
    return whole.getvalue()


def _warc() -> bytes:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<body><p>One</p><p>Two</p></body>"
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2024-04-25T16:24:44Z\r\n"
        f"WARC-Target-URI: https://a.example/\r\nContent-Length: {len(page)}\r\n\r\n"
    )
    return (head.encode() + page + b"\r\n\r\n") * 2


_SPACED = "".join(json.dumps(t) + "\n" for t in _THREADS).encode()
_API = [
    {
        "page": 1,
        "threads": [{"no": 5, "time": 1, "com": "op", "last_replies": [{"no": 6, "com": "r"}]}],
    }
]
_TEXT = "Ann 04/26/19(Fri)22:36:49 no.70: Cat?\n\n\nBob 04/26/19(Fri)22:40:34 no.75: >>70\nYes."

DUMPS: dict[str, tuple[str, dict[str, Any], bytes, str]] = {
    "threads": ("4chan", {}, _SPACED, "8109f37dca1051e5"),
    "threads zst": ("4chan", {"document": "post"}, zstandard.compress(_SPACED), "64ed6ce1ce8a6f57"),
    "local-ids": ("4chan", {"serialisation": "local-ids"}, lines(*_THREADS), "f342956618b311e0"),
    "gpt-4chan": ("4chan", {"serialisation": "gpt-4chan"}, lines(*_THREADS), "238b5aa87fc2110e"),
    "chat": (
        "4chan",
        {"serialisation": "chat", "quotelinks": "drop"},
        lines(*_THREADS),
        "f49bc7e5703d5173",
    ),
    "api": ("4chan", {"board": "g"}, lines(_API, _THREADS[0]), "3c26c7f0b86968e3"),
    "asagi": ("4chan", {}, _ASAGI, "61dcee272fe0297a"),
    "csv": ("4chan", {"document": "post"}, _CSV, "6d44a2005f078eff"),
    "tar zst": ("4chan", {}, zstandard.compress(tar_of(_SPACED)), "950add3ed6202892"),
    "scraped parquet": ("4chan", {}, _scraped_parquet(), "55845226bd01568b"),
    "rendered": ("4chan", {}, lines({"text": _TEXT}), "9d0fc2993f452f02"),
    "c4 gz": ("c4", {}, gzip.compress(lines(*_PAGES), mtime=0), "4dfe6a229a862318"),
    "c4": ("c4", {}, lines(*_PAGES), "4dfe6a229a862318"),
    "jsonl": (
        "jsonl",
        {"columns": {"text": "a.b"}, "keep": ["c"]},
        lines({"a": {"b": "x"}, "c": 1}),
        "6b81eb491bde4720",
    ),
    "parquet": ("parquet", {"columns": {"text": "body"}}, _parquet(), "a0dde79abefb513c"),
    "text": ("text", {"split": "paragraph"}, b"One\ntwo\n\nthree\n", "e84847d4dcae2ec7"),
    "warc": ("warc", {}, _warc(), "b93fcf42d0c5a406"),
}
