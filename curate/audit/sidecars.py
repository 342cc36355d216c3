"""
Turn a shard's rows of spans.parquet into the sidecars it must have, and find where they differ.

Bytes are derived again from docs/format.md §5.2, with the standard library alone. What compression
made of `.csv.gz` may differ between versions of zlib, so its header and its lines are compared.
"""

import csv
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from curate.audit.findings import Finding
from curate.audit.opened import Opened

if TYPE_CHECKING:
    import polars as pl

GZIP_HEAD = bytes.fromhex("1f8b08000000000000ff")
"""No name, no time, no operating system: RFC 1952 with MTIME 0 and OS 255."""


def check(mix: Opened, number: int, rows: "pl.DataFrame") -> Iterator[Finding]:
    """Findings about the sidecars of shard `number`; `rows` are its spans in order."""
    stem = f"shards/{mix.shards[number]['name']}"
    yield from _arrays(mix.folder, f"{stem}.idx", _megatron(rows, mix.width))
    ends = rows["start"] + rows["n_tokens"]
    yield from _arrays(mix.folder, f"{stem}.ds.index", [("ends", "Q", ends.to_list())])
    yield from _metadata(mix, f"{stem}.ds.metadata", mix.shards[number]["n_tokens"])
    yield from _table(mix.folder, f"{stem}.csv.gz", rows)


Fields = list[tuple[str, str, list[int]]]


def _megatron(rows: "pl.DataFrame", width: int) -> Fields:
    n = rows.height
    return [
        ("magic", "B", list(b"MMIDIDX\0\0")),
        ("version", "Q", [1]),
        ("code", "B", [8 if width == 2 else 4]),
        ("counts", "Q", [n, n + 1]),
        ("lengths", "i", rows["n_tokens"].to_list()),
        ("offsets", "q", [start * width for start in rows["start"].to_list()]),
        ("documents", "q", list(range(n + 1))),
    ]


def _arrays(folder: Path, name: str, fields: Fields) -> Iterator[Finding]:
    """Compare a file with arrays of little-endian numbers; name the first that differs of each."""
    data = _read(folder / name)
    if data is None:
        yield Finding("sidecar", name, "", "cannot be read")
        return
    at = 0
    for field, code, numbers in fields:
        wanted = struct.pack(f"<{len(numbers)}{code}", *numbers)
        found = data[at : at + len(wanted)]
        if found != wanted:
            size = struct.calcsize(f"<{code}")
            same = next(
                (i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), -1
            )
            same = len(found) if same < 0 else same
            where = f"byte {at + same}, {field}[{same // size}]"
            yield Finding("sidecar", name, where, "is not what the spans give")
        at += len(wanted)
    if len(data) != at:
        yield Finding("sidecar", name, "", f"{len(data):,} bytes, the spans give {at:,}")


def _metadata(mix: Opened, name: str, n_tokens: int) -> Iterator[Finding]:
    """`<tokenizer>|<width>`, n_tokens, n_tokens in words: three lines, no final newline."""
    data = _read(mix.folder / name)
    lines = (data or b"").decode("utf-8", "replace").split("\n")
    if len(lines) != 3:
        yield Finding("sidecar", name, "", f"{len(lines)} lines, expected 3")
        return
    tokenizer, bar, width = lines[0].rpartition("|")
    if not bar or not tokenizer or "|" in tokenizer or width != str(mix.width):
        what = f"{lines[0]!r} is not a name without a bar, a bar and {mix.width}"
        yield Finding("sidecar", name, "line 1", what)
    if lines[1] != str(n_tokens):
        yield Finding("sidecar", name, "line 2", f"{lines[1]!r}, the shard has {n_tokens:,}")
    if lines[2] != in_words(n_tokens):
        yield Finding("sidecar", name, "line 3", f"{lines[2]!r} is not {in_words(n_tokens)!r}")


def in_words(n_tokens: int) -> str:
    """
    A count to one decimal, rounded down, with K, M, B or T; below a thousand as it is (§5.2).

    >>> in_words(999), in_words(1_000), in_words(1_249_000), in_words(20_099_137_536)
    ('999', '1.0K', '1.2M', '20.0B')
    """
    letters = {10**12: "T", 10**9: "B", 10**6: "M", 10**3: "K"}
    unit = next((size for size in letters if n_tokens >= size), 1)
    if unit == 1:
        return str(n_tokens)
    return f"{n_tokens // unit}.{n_tokens * 10 // unit % 10}{letters[unit]}"


def _table(folder: Path, name: str, rows: "pl.DataFrame") -> Iterator[Finding]:
    """`start,end,id,input,offset` of every span."""
    data = _read(folder / name) or b""
    if data[:10] != GZIP_HEAD:
        yield Finding("sidecar", name, "byte 0", "its gzip header holds more than it should")
    wanted = _lines(rows)
    unzip = zlib.decompressobj(wbits=31)
    try:
        found = unzip.decompress(data, len(wanted) + 1)  # never more than it may hold
    except zlib.error as error:
        yield Finding("sidecar", name, "", f"cannot be decompressed: {error}")
        return
    if found != wanted:
        same = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), -1)
        line = wanted[: same if same >= 0 else len(found)].count(b"\n") + 1
        yield Finding("sidecar", name, f"line {line}", "is not what the spans give")
    elif not unzip.eof or unzip.unused_data:
        yield Finding("sidecar", name, "", "its gzip member does not end with the file")


def _lines(rows: "pl.DataFrame") -> bytes:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    ends = (rows["start"] + rows["n_tokens"]).to_list()
    lines.writerows(
        zip(rows["start"], ends, rows["id"], rows["input"], rows["offset"], strict=True)
    )
    return text.getvalue().encode()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
