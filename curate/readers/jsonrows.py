"""
Turn JSON lines into a table, and every line that is not what it should be into a reason.

A block of lines is parsed at once, in columns. Only where that fails, or where the parser is known
to be lenient, lines are looked at one by one; what comes out is the same either way:

    >>> import polars as pl
    >>> from curate.readers.lines import Block
    >>> block = Block(b'{"text":"a"}\\n{"text":\\n[7]\\n{"text":"b","x":[]}\\n', 100, 1)
    >>> lines = Lines.of(block)
    >>> table, bad = parse(lines, {"text": pl.String()})
    >>> table.rows()
    [('a', 0), ('b', 3)]
    >>> [(lines.offset(row), lines.number(row), reason) for row, reason in bad]
    [(113, 2, 'cut-off'), (122, 3, 'not-an-object')]

Of a key that occurs twice in an object the first counts. Numbers are never taken for text.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import orjson

from curate.readers import tar
from curate.readers.base import Tally
from curate.readers.decompress import Stream
from curate.readers.lines import BLOCK, Block, line_ends

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Schema = Mapping[str, pl.DataType]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

MAX_VALUES = 1 << 20
"""Most values of a line of more than 4 MiB: the parser takes up to 100 bytes for each."""

KEPT_OF_TOO_LONG = 1 << 20
"""Bytes kept of a line that is too long to be parsed."""

BLANK = "blank"
CUT_OFF = "cut-off"

# simdjson, below polars, turns a lone high surrogate into NUL without a word.
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")

# polars writes numbers, booleans, lists and objects into String columns as their JSON text.
_COERCED_STARTS = [*"-0123456789{["]
_COERCED_WORDS = ["true", "false"]
_COERCED = r"^(?:[-0-9.eE+]+|true|false|(?s:\{.*\}|\[.*\]))$"


@dataclass(frozen=True)
class Lines:
    """Lines of JSON, each with the place in the input to which it belongs."""

    data: bytes  # the lines, `\n` between them
    starts: "npt.NDArray[np.int64]"  # of line k in `data`
    ends: "npt.NDArray[np.int64]"  # of line k in `data`, without its `\n`
    offsets: "npt.NDArray[np.int64]"  # of the record to which line k belongs, in the input
    numbers: "npt.NDArray[np.int64]"  # of that record's line, from 1

    @classmethod
    def of(cls, block: Block) -> Self:
        """The lines of a block."""
        import numpy as np

        ends = np.array(line_ends(block.data), dtype=np.int64)
        if block.data and not block.data.endswith(b"\n"):
            ends = np.append(ends, len(block.data))
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)]
        numbers = np.arange(block.line, block.line + len(ends))
        return cls(block.data, starts, ends, starts + block.offset, numbers)

    @classmethod
    def made(cls, lines: list[bytes], offsets: list[int], numbers: list[int]) -> Self:
        """Lines that were made from records at those places."""
        import numpy as np

        lengths = np.array([len(line) for line in lines], dtype=np.int64)
        ends = np.cumsum(lengths + 1) - 1
        return cls(b"\n".join(lines), ends - lengths, ends, np.array(offsets), np.array(numbers))

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, first: int, after: int) -> Self:
        """Lines number `first` up to, not with, `after`."""
        begin, end = int(self.starts[first]), int(self.ends[after - 1]) + 1
        starts, ends = self.starts[first:after] - begin, self.ends[first:after] - begin
        places = self.offsets[first:after], self.numbers[first:after]
        return type(self)(self.data[begin:end], starts, ends, *places)

    def raw(self, row: int) -> bytes:
        """Line number `row` (from 0)."""
        return self.data[int(self.starts[row]) : int(self.ends[row])]

    def offset(self, row: int) -> int:
        """First byte of the record of line `row`, in the input."""
        return int(self.offsets[row])

    def number(self, row: int) -> int:
        """Line number of the record of line `row`, from 1."""
        return int(self.numbers[row])


def blocks(stream: Stream, tally: Tally) -> Iterator[Block]:
    """Blocks of lines; a line that is too long is rejected, a byte order mark passed over."""
    # `map` lets go of a block before the next is read, as a loop would not.
    return filter(None, map(functools.partial(_checked, tally=tally), tar.blocks(stream)))


def _checked(block: Block, tally: Tally) -> Block | None:
    n_bytes, reason = block.n_too_long, "too-long"
    if len(block.data) > BLOCK and not n_bytes and has_more_values(block.data, MAX_VALUES):
        n_bytes, reason = len(block.data), "too-many-values"
    if n_bytes:
        tally.n_records += 1
        tally.reject(
            offset=block.offset,
            line=block.line,
            reason=reason,
            raw=block.data[:KEPT_OF_TOO_LONG],
            n_bytes=n_bytes,
        )
        return None
    if block.line == 1 and block.data.startswith(BYTE_ORDER_MARK):
        skipped = len(BYTE_ORDER_MARK)
        return Block(block.data[skipped:], block.offset + skipped, 1)
    return block


def has_more_values(data: bytes, most: int, marks: bytes = b",[{") -> bool:
    """Whether JSON has more commas and opening brackets outside its texts: about one a value."""
    import numpy as np

    if sum(map(data.count, marks)) <= most:
        return False
    # What is escaped goes, from left to right, so that each quote that is left ends a text.
    plain = np.frombuffer(data.replace(b"\\\\", b"--").replace(b'\\"', b"--"), dtype=np.uint8)
    outside = np.cumsum(plain == ord('"'), dtype=np.uint8) & 1 == 0
    return sum(int(np.count_nonzero((plain == mark) & outside)) for mark in marks) > most


def rows_of(lines: Lines, schema: "Schema", stream: Stream, tally: Tally) -> "pl.DataFrame":
    """
    Parsed lines as `parse` gives them; the others are rejected or, if blank, skipped, and counted.

    A last line that breaks off without a line end is damage of the stream (InputError).
    """
    table, bad = parse(lines, schema)
    for row, reason in bad:
        if reason == BLANK:
            tally.n_records += 1
            tally.skip(BLANK)
        elif reason == CUT_OFF and row == len(lines) - 1 and not lines.data.endswith(b"\n"):
            raise stream.damaged(f"it ends inside a record (line {lines.number(row):,})")
        else:
            reject(lines, [row], reason, tally)
    return table


def reject(lines: Lines, rows: Iterable[int], reason: str, tally: Tally) -> None:
    """Reject lines, and count them as records."""
    for row in rows:
        tally.n_records += 1
        tally.reject(
            offset=lines.offset(row),
            line=lines.number(row),
            reason=reason,
            raw=lines.raw(row),
        )


def parse(lines: Lines, schema: "Schema") -> "tuple[pl.DataFrame, list[tuple[int, str]]]":
    """
    Parse lines → (a row per line that can be read, (row, reason) of each other one).

    The table has the columns of `schema` (null where a line lacks the key) and `row` UInt32, the
    number of the line from 0.
    """
    import numpy as np
    import polars as pl

    table = None if has_lone_surrogate(lines.data) else parsed(lines.data, schema)
    rows = np.arange(len(lines))
    bad: list[tuple[int, str]] = []
    if table is None or table.height != len(lines):
        reasons = _reasons(lines, schema)
        bad = [(row, reason) for row, reason in enumerate(reasons) if reason]
        rows = np.flatnonzero([not reason for reason in reasons])
        table = parsed(b"\n".join(lines.raw(int(row)) for row in rows), schema)
        if table is None or table.height != len(rows):
            raise RuntimeError("lines that parse one by one do not parse together")
    return table.with_columns(pl.Series("row", rows, dtype=pl.UInt32)), bad


def coerced(table: "pl.DataFrame", texts: Mapping[str, list[str]], lines: Lines) -> list[int]:
    """
    Lines with a text that is not a JSON string but a number, boolean, list or object.

    `texts` maps String columns of `table` to their path in the line, lists being looked into:
    `{"com": ["posts", "com"]}`.
    """
    wrong: set[int] = set()
    for name, path in texts.items():
        # Two steps: looking at one character costs almost nothing, and few texts begin so.
        text = table[name]
        near = (text.str.head(1).is_in(_COERCED_STARTS) | text.is_in(_COERCED_WORDS)).arg_true()
        suspects = near.filter(text.gather(near).str.contains(_COERCED))
        wrong |= {
            row
            for row in table["row"].gather(suspects).unique()
            if not _is_text(orjson.loads(lines.raw(row)), path)
        }
    return sorted(wrong)


def parsed(data: bytes, schema: "Schema") -> "pl.DataFrame | None":
    """JSON lines as a table, None if any of them does not fit `schema`."""
    import polars as pl

    if not data:
        return pl.DataFrame(schema=schema)
    if data[:1] not in (b"{", b" ", b"\t", b"\r", b"\n"):
        return None  # no object; and polars would decompress what begins with a magic number
    try:
        return pl.read_ndjson(data, schema=schema)
    except pl.exceptions.PolarsError:
        return None


def has_lone_surrogate(data: bytes) -> bool:
    """Whether JSON text has a high surrogate that no low one follows."""
    import numpy as np

    # Pages come with hardly any escaped character: comparing bytes is thrice as quick as a search.
    each = np.frombuffer(data, dtype=np.uint8)
    escaped = (each[:-1] == ord("\\")) & (each[1:] == ord("u"))
    return bool(escaped.any()) and _LONE_SURROGATE.search(data) is not None


def has_nul(table: "pl.DataFrame", names: Iterable[str]) -> bool:
    """
    Whether a text has a NUL, which is what the parser makes of a lone surrogate.

    Looking for it is quicker than looking for surrogates in the bytes, where posts come in ASCII.
    """
    import polars as pl

    found = [pl.col(name).str.contains("\0", literal=True).any() for name in names]
    return bool(table.select(pl.any_horizontal(found)).item())


def reason_against(line: bytes) -> str:
    """Why a line is not a JSON object: a reason code, or "" if it is one."""
    if not line.strip():
        return BLANK
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
    for part, reason in (
        ("surrogate", "lone-surrogate"),
        ("depth", "too-deep"),  # both parsers refuse more than 1 024 levels
        ("infinity", "number-too-large"),
        ("unexpected end", CUT_OFF),
    ):
        if part in message:
            return reason
    return "not-json"


def _reasons(lines: Lines, schema: "Schema") -> list[str]:
    """A reason for each line, "" for those that parse; halves a failing list until it is short."""
    reasons = [reason_against(lines.raw(row)) for row in range(len(lines))]
    waiting = [[row for row, reason in enumerate(reasons) if not reason]]
    while waiting:
        some = waiting.pop()
        table = parsed(b"\n".join(lines.raw(row) for row in some), schema)
        if table is not None and table.height == len(some):
            continue
        if len(some) == 1:
            reasons[some[0]] = "wrong-type"
        else:
            waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
    return reasons


def _is_text(value: object, path: list[str]) -> bool:
    if value is None:
        return True
    if isinstance(value, list) and path:
        return all(_is_text(item, path) for item in value)
    if not path:
        return isinstance(value, str)
    return isinstance(value, dict) and _is_text(value.get(path[0]), path[1:])
