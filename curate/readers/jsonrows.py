"""
Turn a block of JSON lines into a table, and every line that is not what it should be into a reason.

The block is parsed at once, in columns. Only where that fails, or where the parser is known to be
lenient, lines are looked at one by one; what comes out is the same either way:

    >>> import polars as pl
    >>> from curate.readers.lines import Block
    >>> block = Block(b'{"text":"a"}\\n{"text":\\n{"text":7}\\n{"text":"b","x":[]}\\n', 100, 1)
    >>> table, bad, blank = parse(block, {"text": pl.String()}, texts=["text"])
    >>> table.rows()
    [('a', 100, 1), ('b', 133, 4)]
    >>> [(b.offset, b.line, b.reason) for b in bad]
    [(113, 2, 'not-json'), (122, 3, 'wrong-type')]

Of a key that occurs twice in an object the first counts. Numbers are never taken for text.
"""

import re
from collections.abc import Iterator, Sequence
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

MAX_DEPTH = 1024
"""Nesting beyond which both parsers in use refuse a line."""

# simdjson, below polars, turns a lone high surrogate into NUL without a word.
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")

# polars writes numbers, booleans, lists and objects into String columns as their JSON text.
_MAYBE_COERCED = r"^(?:[-0-9.eE+]+|true|false|(?s:\{.*\}|\[.*\]))$"


def blocks(stream: Stream, tally: Tally) -> Iterator[Block]:
    """Blocks of lines; a line that is too long is rejected, a byte order mark passed over."""
    for block in blocks_of(stream.chunks()):
        if block.n_too_long:
            tally.n_records += 1
            tally.reject(
                offset=block.offset,
                line=block.line,
                reason="too-long",
                raw=block.data[: 1 << 20],
                n_bytes=block.n_too_long,
            )
        elif block.offset == 0 and block.data.startswith(b"\xef\xbb\xbf"):
            yield Block(block.data[3:], 3, 1)
        else:
            yield block


def rows_of(
    block: Block, schema: "dict[str, pl.DataType]", texts: list[str], stream: Stream, tally: Tally
) -> "pl.DataFrame":
    """
    Rows of a block; bad lines are rejected and blank ones skipped, both counted as records.

    A last line that breaks off without a line end is damage of the stream (InputError).
    """
    rows, bad, n_blank = parse(block, schema, texts=texts)
    tally.n_records += len(bad) + n_blank
    tally.skip("blank", n_blank)
    for line in bad:
        if line.reason == "not-json" and _is_cut_off(line.raw, block):
            raise stream.damaged(f"it ends inside a record (line {line.line:,})")
        tally.reject(offset=line.offset, line=line.line, reason=line.reason, raw=line.raw)
    return rows


def _is_cut_off(raw: bytes, block: Block) -> bool:
    """Whether this is the last line of the file, without a line end, and an unfinished object."""
    if block.data.endswith(b"\n") or not block.data.endswith(raw):
        return False
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return "unexpected end of data" in str(error)
    return False


def reject(
    rows: "pl.DataFrame", mask: "pl.Series", reason: str, block: Block, tally: Tally
) -> "pl.DataFrame":
    """Reject (and count) the rows where `mask` is true, with their raw lines → the other rows."""
    tally.n_records += int(mask.sum())
    for offset, line in rows.filter(mask).select("offset", "line").iter_rows():
        start = offset - block.offset
        end = block.data.find(b"\n", start)
        raw = block.data[start : end if end >= 0 else len(block.data)]
        tally.reject(offset=offset, line=line, reason=reason, raw=raw)
    return rows.filter(~mask)


@dataclass(frozen=True)
class Bad:
    """A line that cannot be read, and why."""

    offset: int
    line: int
    reason: str
    raw: bytes


def parse(
    block: Block, schema: "dict[str, pl.DataType]", *, texts: Sequence[str] = ()
) -> "tuple[pl.DataFrame, list[Bad], int]":
    """
    Parse the lines of a block → (rows, lines that cannot be read, number of blank lines).

    Rows have the columns of `schema` (null where a line lacks the key), `offset` UInt64 of the
    line's first byte in the input and `line` UInt64 from 1. `texts` names String columns (a dotted
    path into lists of structs, such as `posts.com`) where a number or object is a wrong type.
    """
    import polars as pl

    if block.n_too_long:
        raise ValueError("a line that is too long has no rows")
    starts, lengths = _bounds(block.data)
    table: pl.DataFrame | None = None
    if not _LONE_SURROGATE.search(block.data):
        table = _parse(block.data, schema)
    if table is not None and table.height == len(starts):
        good = None
        bad: list[Bad] = []
        n_blank = 0
    else:
        lines = [block.data[s : s + n] for s, n in zip(starts, lengths, strict=True)]
        reasons = _reasons(lines, schema)
        good = [k for k, reason in enumerate(reasons) if not reason]
        n_blank = reasons.count("blank")
        bad = [
            Bad(block.offset + int(starts[k]), block.line + k, reason, lines[k])
            for k, reason in enumerate(reasons)
            if reason not in ("", "blank")
        ]
        table = _parse(b"\n".join(lines[k] for k in good), schema)
        if table is None or table.height != len(good):
            raise RuntimeError("lines that parse one by one do not parse together")
        starts, lengths = starts[good], lengths[good]
    import numpy as np

    numbers = np.arange(table.height) if good is None else np.array(good, dtype=np.int64)
    table = table.with_columns(
        pl.Series("offset", starts + block.offset, dtype=pl.UInt64),
        pl.Series("line", numbers + block.line, dtype=pl.UInt64),
    )
    wrong = _coerced(table, texts, block, lengths)
    if wrong:
        bad = sorted([*bad, *wrong.values()], key=lambda b: b.offset)
        table = table.filter(~pl.Series(np.isin(np.arange(table.height), list(wrong))))
    return table, bad, n_blank


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
    if line.startswith(b"\xef\xbb\xbf"):
        return "byte-order-mark"
    if "surrogate" in message:
        return "lone-surrogate"
    if "depth" in message or "recursion" in message:
        return "too-deep"
    return "not-json"


def _bounds(data: bytes) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
    """First byte and length (without `\\n`) of each line."""
    import numpy as np

    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 10)
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    return starts.astype(np.int64), (ends - starts).astype(np.int64)


def _parse(data: bytes, schema: "dict[str, pl.DataType]") -> "pl.DataFrame | None":
    import polars as pl

    if not data:
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_ndjson(data, schema=schema)
    except pl.exceptions.PolarsError:
        return None


def _reasons(lines: list[bytes], schema: "dict[str, pl.DataType]") -> list[str]:
    """A reason for each line, "" for those that parse; halves a failing list until it is short."""
    reasons = [reason_against(line) for line in lines]
    waiting = [[k for k, reason in enumerate(reasons) if not reason]]
    while waiting:
        some = waiting.pop()
        table = _parse(b"\n".join(lines[k] for k in some), schema)
        if table is not None and table.height == len(some):
            continue
        if len(some) == 1:
            reasons[some[0]] = "wrong-type"
        else:
            waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
    return reasons


def _coerced(
    table: "pl.DataFrame",
    texts: Sequence[str],
    block: Block,
    lengths: "npt.NDArray[np.int64]",
) -> dict[int, Bad]:
    """Rows whose text is not a JSON string in the line itself, by row number."""
    import polars as pl

    suspects: set[int] = set()
    for path in texts:
        first, *rest = path.split(".")
        rows = table.select(pl.int_range(pl.len()).alias("row"), pl.col(first).alias("value"))
        for name in rest:
            rows = rows.explode("value").with_columns(value=pl.col("value").struct.field(name))
        hits = rows.filter(pl.col("value").str.contains(_MAYBE_COERCED))
        suspects.update(hits["row"].to_list())
    wrong: dict[int, Bad] = {}
    for row in sorted(suspects):
        offset = int(table["offset"][row])
        start = offset - block.offset
        raw = block.data[start : start + int(lengths[row])]
        value = orjson.loads(raw)
        if not all(_is_text(value, path.split(".")) for path in texts):
            wrong[row] = Bad(offset, int(table["line"][row]), "wrong-type", raw)
    return wrong


def _is_text(value: object, path: list[str]) -> bool:
    if value is None:
        return True
    if isinstance(value, list):
        return all(_is_text(item, path) for item in value)
    if not path:
        return isinstance(value, str)
    return isinstance(value, dict) and _is_text(value.get(path[0]), path[1:])
