"""
Turn a block of JSON lines into a table, and every line that is not what it should be into a reason.

The block is parsed at once, in columns. Only where that fails, or where the parser is known to be
lenient, lines are looked at one by one; what comes out is the same either way:

    >>> import polars as pl
    >>> from curate.readers.lines import Block
    >>> block = Block(b'{"text":"a"}\\n{"text":\\n[7]\\n{"text":"b","x":[]}\\n', 100, 1)
    >>> table, bad, n_blank = parse(block, {"text": pl.String()})
    >>> table.rows()
    [('a', 100, 1), ('b', 126, 4)]
    >>> [(b.offset, b.line, b.reason) for b in bad]
    [(113, 2, 'not-json'), (122, 3, 'not-an-object')]

Of a key that occurs twice in an object the first counts. Numbers are never taken for text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from curate.readers.base import Tally
from curate.readers.decompress import Stream
from curate.readers.lines import Block, blocks_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Schema = Mapping[str, pl.DataType]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

KEPT_OF_TOO_LONG = 1 << 20
"""Bytes kept of a line that is too long to be parsed."""

# simdjson, below polars, turns a lone high surrogate into NUL without a word.
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")

# polars writes numbers, booleans, lists and objects into String columns as their JSON text.
_COERCED_START = r"^[-0-9tf{\[]"
_COERCED = r"^(?:[-0-9.eE+]+|true|false|(?s:\{.*\}|\[.*\]))$"


@dataclass(frozen=True)
class Bad:
    """A line that cannot be read, and why."""

    offset: int
    line: int
    reason: str
    raw: bytes


def blocks(stream: Stream, tally: Tally) -> Iterator[Block]:
    """Blocks of lines; a line that is too long is rejected, a byte order mark passed over."""
    for block in blocks_of(stream.chunks()):
        if block.n_too_long:
            tally.n_records += 1
            tally.reject(
                offset=block.offset,
                line=block.line,
                reason="too-long",
                raw=block.data[:KEPT_OF_TOO_LONG],
                n_bytes=block.n_too_long,
            )
        elif block.offset == 0 and block.data.startswith(BYTE_ORDER_MARK):
            yield Block(block.data[len(BYTE_ORDER_MARK) :], len(BYTE_ORDER_MARK), 1)
        else:
            yield block


def rows_of(block: Block, schema: "Schema", stream: Stream, tally: Tally) -> "pl.DataFrame":
    """
    Rows of a block; bad lines are rejected and blank ones skipped, both counted as records.

    A last line that breaks off without a line end is damage of the stream (InputError).
    """
    rows, bad, n_blank = parse(block, schema)
    tally.n_records += len(bad) + n_blank
    tally.skip("blank", n_blank)
    for line in bad:
        if line.reason == "not-json" and _is_cut_off(line.raw, block):
            raise stream.damaged(f"it ends inside a record (line {line.line:,})")
        tally.reject(offset=line.offset, line=line.line, reason=line.reason, raw=line.raw)
    return rows


def reject(
    rows: "pl.DataFrame", mask: "pl.Series", reason: str, block: Block, tally: Tally
) -> "pl.DataFrame":
    """Reject (and count) the rows where `mask` is true, with their raw lines → the other rows."""
    n_rejected = int(mask.sum())
    if not n_rejected:
        return rows
    tally.n_records += n_rejected
    for offset, line in rows.filter(mask).select("offset", "line").iter_rows():
        tally.reject(offset=offset, line=line, reason=reason, raw=_line_at(block, offset))
    return rows.filter(~mask)


def parse(block: Block, schema: "Schema") -> "tuple[pl.DataFrame, list[Bad], int]":
    """
    Parse the lines of a block → (rows, lines that cannot be read, number of blank lines).

    Rows have the columns of `schema` (null where a line lacks the key), `offset` UInt64 of the
    line's first byte in the input and `line` UInt64 from 1.
    """
    import numpy as np
    import polars as pl

    starts, ends = bounds(block.data)
    table = None if has_lone_surrogate(block.data) else parsed(block.data, schema)
    numbers = np.arange(len(starts))
    bad: list[Bad] = []
    n_blank = 0
    if table is None or table.height != len(starts):
        lines = [block.data[s:e] for s, e in zip(starts, ends, strict=True)]
        reasons = _reasons(lines, schema)
        for k, reason in enumerate(reasons):
            if reason == "blank":
                n_blank += 1
            elif reason:
                bad.append(Bad(block.offset + int(starts[k]), block.line + k, reason, lines[k]))
        numbers = np.flatnonzero([not reason for reason in reasons])
        table = parsed(b"\n".join(lines[k] for k in numbers), schema)
        if table is None or table.height != len(numbers):
            raise RuntimeError("lines that parse one by one do not parse together")
    table = table.with_columns(
        pl.Series("offset", starts[numbers] + block.offset, dtype=pl.UInt64),
        pl.Series("line", numbers + block.line, dtype=pl.UInt64),
    )
    return table, bad, n_blank


def coerced(rows: "pl.DataFrame", texts: Mapping[str, list[str]], block: Block) -> "pl.Series":
    """
    Offsets (UInt64) of the lines whose text is not a JSON string but a number, list or object.

    `texts` maps String columns of `rows` to their path in the line, lists being looked into:
    `{"com": ["posts", "com"]}`.
    """
    import polars as pl

    wrong = []
    for name, path in texts.items():
        # Two steps: looking at one character costs almost nothing, and almost no text begins so.
        near = pl.col(name).str.contains(_COERCED_START)
        suspects = rows.lazy().select(name, "offset").filter(near).filter(
            pl.col(name).str.contains(_COERCED)
        )
        for offset in suspects.collect()["offset"].unique().sort():
            if not _is_text(orjson.loads(_line_at(block, offset)), path):
                wrong.append(offset)
    return pl.Series(sorted(set(wrong)), dtype=pl.UInt64)


def has_lone_surrogate(data: bytes) -> bool:
    """Whether JSON text has a high surrogate that no low one follows."""
    return _LONE_SURROGATE.search(data) is not None


def reason_against(line: bytes) -> str:
    """Why a line is not a JSON object: a reason code, or "" if it is one."""
    if not line.strip():
        return "blank"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not-utf8"
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _json_reason(line, str(error))
    return "" if isinstance(value, dict) else "not-an-object"


def _json_reason(line: bytes, message: str) -> str:
    if line.startswith(BYTE_ORDER_MARK):
        return "byte-order-mark"
    if "surrogate" in message:
        return "lone-surrogate"
    if "depth" in message:
        return "too-deep"  # both parsers refuse more than 1 024 levels
    if "infinity" in message:
        return "number-too-large"
    return "not-json"


def bounds(data: bytes) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
    """First byte of each line, and the byte of its `\\n` (or the end of the data)."""
    import numpy as np

    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 10)
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    return np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)], ends


def _line_at(block: Block, offset: int) -> bytes:
    start = offset - block.offset
    end = block.data.find(b"\n", start)
    return block.data[start : end if end >= 0 else len(block.data)]


def parsed(data: bytes, schema: "Schema") -> "pl.DataFrame | None":
    """JSON lines as a table, None if any of them does not fit `schema`."""
    import polars as pl

    if not data:
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_ndjson(data, schema=schema)
    except pl.exceptions.PolarsError:
        return None


def _reasons(lines: list[bytes], schema: "Schema") -> list[str]:
    """A reason for each line, "" for those that parse; halves a failing list until it is short."""
    reasons = [reason_against(line) for line in lines]
    waiting = [[k for k, reason in enumerate(reasons) if not reason]]
    while waiting:
        some = waiting.pop()
        table = parsed(b"\n".join(lines[k] for k in some), schema)
        if table is not None and table.height == len(some):
            continue
        if len(some) == 1:
            reasons[some[0]] = "wrong-type"
        else:
            waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
    return reasons


def _is_cut_off(raw: bytes, block: Block) -> bool:
    """Whether this is the last line of the file, without a line end, and an unfinished object."""
    if block.data.endswith(b"\n") or not block.data.endswith(raw):
        return False
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return "unexpected end of data" in str(error)
    return False


def _is_text(value: object, path: list[str]) -> bool:
    if value is None:
        return True
    if isinstance(value, list) and path:
        return all(_is_text(item, path) for item in value)
    if not path:
        return isinstance(value, str)
    return isinstance(value, dict) and _is_text(value.get(path[0]), path[1:])
