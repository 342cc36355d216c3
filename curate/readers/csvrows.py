r"""
Turn CSV, in either of its two dialects, into tables of text, a row per record.

`DOUBLED` is RFC 4180, as pandas writes it: a quote inside a quoted field is doubled. `ESCAPED` is
MySQL's, as the FoolFuuka archives write it: a backslash escapes the next character, and a bare `\N`
is a null, which is not the text "N". Fields may hold line ends in both.

    >>> data = b'1,"a ""b""\nc",\n2,d,""\n'
    >>> records = Records(data, *cut(data, DOUBLED), offset=0, line=1)
    >>> len(records), [records.number(row) for row in range(2)]
    (2, [1, 3])
    >>> table(records, 3, DOUBLED)[0].rows()
    [('1', 'a "b"\nc', None, 0), ('2', 'd', '', 1)]
    >>> data = rb'"1","say \"hi\"",\N' + b"\n" + rb'"2","N","back\\slash"' + b"\n"
    >>> table(Records(data, *cut(data, ESCAPED), offset=0, line=1), 3, ESCAPED)[0].rows()
    [('1', 'say "hi"', None, 0), ('2', 'N', 'back\\slash', 1)]
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.readers.base import Tally
from curate.readers.decompress import Stream
from curate.readers.jsonrows import BYTE_ORDER_MARK
from curate.readers.lines import BLOCK

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Places = npt.NDArray[np.int64]

DOUBLED = "doubled"
ESCAPED = "escaped"

LONGEST = 1 << 20
"""Bytes of the longest record; beyond it a quote is taken to be missing, and its line rejected."""

MOST = 1 << 16
"""Most records taken at once: of very short ones the rest takes more memory than the bytes."""

_NULL = "\x1aN"


@dataclass(frozen=True)
class Records:
    """Whole records of a CSV file, in `data` from `starts` to `ends` (their line ends)."""

    data: bytes
    starts: "Places"
    ends: "Places"
    stray: "Places"  # records that are a line with a quote too many or too few
    n_commas: "Places"  # of each record, outside quotes
    offset: int  # of data[0] in the input
    line: int  # of data[0], from 1

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, row: int) -> bytes:
        """Record number `row` (from 0), without its line end."""
        return self.data[int(self.starts[row]) : int(self.ends[row])]

    def number(self, row: int) -> int:
        """Line on which a record begins, from 1."""
        return self.line + self.data.count(b"\n", 0, int(self.starts[row]))


def records_of(stream: Stream, dialect: str) -> Iterator[Records]:
    """All records of a CSV file, in batches of whole records; blank lines are among them."""
    data, offset, line = b"", 0, 1
    chunks = stream.chunks()
    more = True
    while more or data:
        pieces = [data]
        n_held = len(data)
        while n_held <= BLOCK + LONGEST and more:
            chunk = next(chunks, None)
            if chunk is None:
                more = False
            else:
                pieces.append(chunk)
                n_held += len(chunk)
        data = b"".join(pieces)
        if offset == 0 and data.startswith(BYTE_ORDER_MARK):
            data, offset = data[len(BYTE_ORDER_MARK) :], len(BYTE_ORDER_MARK)
        if not data:
            return
        found = Records(data, *cut(data, dialect, last=not more), offset=offset, line=line)
        if not more and (not len(found) or int(found.ends[-1]) < len(data) - 1):
            raise stream.damaged("it ends inside a quoted field")
        found = _first(found, MOST)
        taken = min(int(found.ends[-1]) + 1, len(data))
        yield found
        line += data.count(b"\n", 0, taken)
        offset += taken
        data = data[taken:]


def _first(records: Records, n: int) -> Records:
    """The first n of some records, or all of them."""
    if len(records) <= n:
        return records
    return dataclasses.replace(
        records,
        starts=records.starts[:n],
        ends=records.ends[:n],
        stray=records.stray[records.stray <= records.ends[n - 1]],
        n_commas=records.n_commas[:n],
    )


def cut(data: bytes, dialect: str, *, last: bool = True) -> "tuple[Places, Places, Places, Places]":
    """
    Where records are in `data` → starts, ends, ends of the stray ones, n commas of each.

    A record ends at a line end outside quotes. Where none comes within `LONGEST` bytes, the line is
    taken alone, as stray. `last`: nothing follows `data`, so that a record may end with it.
    """
    import numpy as np

    quotes, newlines, commas = _marks(data, dialect)
    if last and data and (not len(newlines) or newlines[-1] != len(data) - 1):
        newlines = np.append(newlines, len(data))
    before = np.searchsorted(quotes, newlines)
    ends: list[Places] = [newlines[:0]]
    stray: list[int] = []
    start = k = 0  # first byte not taken; first line end not taken
    while k < len(newlines):
        opened = int(np.searchsorted(quotes, start))
        closing = k + np.flatnonzero((before[k:] - opened) & 1 == 0)
        too_far = np.diff(newlines[closing], prepend=start - 1) > LONGEST
        n_taken = int(np.argmax(too_far)) if too_far.any() else len(closing)
        if n_taken:
            ends.append(newlines[closing[:n_taken]])
            k = int(closing[n_taken - 1]) + 1
            start = int(newlines[k - 1]) + 1
        if k == len(newlines) or newlines[k] == len(data):
            break
        if n_taken == len(closing) and not last and len(data) - start <= LONGEST:
            break
        stray.append(int(newlines[k]))
        ends.append(newlines[k : k + 1])
        start = stray[-1] + 1
        k += 1
    every = np.concatenate(ends)
    starts = np.concatenate((np.zeros(1, np.int64), every[:-1] + 1))[: len(every)]
    of = np.searchsorted(every, commas)
    commas, of = commas[of < len(every)], of[of < len(every)]
    inside = (np.searchsorted(quotes, commas) - np.searchsorted(quotes, starts)[of]) & 1
    n_commas = np.bincount(of[inside == 0], minlength=len(every))
    return starts, every, np.array(stray, dtype=np.int64), n_commas


def _marks(data: bytes, dialect: str) -> "tuple[Places, Places, Places]":
    """Places of quotes, line ends and commas that no backslash escapes."""
    import numpy as np

    whole = np.frombuffer(data, dtype=np.uint8)
    marks = [np.flatnonzero(whole == byte) for byte in (34, 10, 44)]
    if dialect == ESCAPED:
        escaped = _escaped(np.flatnonzero(whole == 92))
        marks = [np.setdiff1d(places, escaped, assume_unique=True) for places in marks]
    return marks[0], marks[1], marks[2]


def table(
    records: Records, n_fields: int, dialect: str
) -> "tuple[pl.DataFrame, list[tuple[int, str]]]":
    """
    Records as String columns "0", "1", … and `row` → (table, (row, reason) of what is no record).

    Empty fields are null, quoted empty ones are empty text.
    """
    import numpy as np
    import polars as pl

    strays = np.zeros(len(records), dtype=bool)
    strays[np.searchsorted(records.ends, records.stray)] = True
    fitting = records.n_commas == n_fields - 1
    bad = [(row, "stray-quote") for row in np.flatnonzero(strays).tolist()]
    for row in np.flatnonzero(~strays & ~fitting).tolist():
        blank = not records.raw(row).strip()
        bad.append((row, "blank" if blank else "wrong-field-count"))
    good = np.flatnonzero(~strays & fitting)
    read = _read(records, good, n_fields, dialect)
    if read is None:
        reasons = [_reason(records, row, n_fields, dialect) for row in good.tolist()]
        bad += [(int(row), reason) for row, reason in zip(good, reasons, strict=True) if reason]
        good = good[[not reason for reason in reasons]]
        read = _read(records, good, n_fields, dialect)
        if read is None:
            raise RuntimeError("records that parse one by one do not parse together")
    return read.with_columns(pl.Series("row", good, dtype=pl.UInt32)), sorted(bad)


def reject(records: Records, bad: list[tuple[int, str]], tally: Tally) -> None:
    """Reject records (blank ones are skipped) and count them."""
    for row, reason in bad:
        tally.n_records += 1
        if reason == "blank":
            tally.skip("blank")
            continue
        tally.reject(
            offset=records.offset + int(records.starts[row]),
            line=records.number(row),
            reason=reason,
            raw=records.raw(row),
        )


def _escaped(backslashes: "Places") -> "Places":
    """Places of the characters that a backslash escapes: those after runs of odd length."""
    import numpy as np

    if not len(backslashes):
        return backslashes
    breaks = np.flatnonzero(np.diff(backslashes) != 1) + 1
    firsts = np.concatenate((np.zeros(1, np.int64), breaks))
    lasts = np.concatenate((breaks, [len(backslashes)])) - 1
    odd = (lasts - firsts) % 2 == 0
    after: Places = backslashes[lasts[odd]] + 1
    return after


def _read(records: Records, rows: "Places", n_fields: int, dialect: str) -> "pl.DataFrame | None":
    """Those records as String columns; None if any of them is not what it should be."""
    import polars as pl

    schema = {str(k): pl.String() for k in range(n_fields)}
    if not len(rows):
        return pl.DataFrame(schema=schema)
    if len(rows) == len(records):
        body = [records.data[int(records.starts[0]) : int(records.ends[-1])]]
    else:
        body = [records.raw(row) for row in rows]
    # A first record of our own: polars decompresses what begins with a magic number ("x^", say).
    data = b"\n".join([b"0" + b"," * (n_fields - 1), *body, b""])
    try:
        # Of two, since polars takes a single value for a scalar and copies it at every turn.
        text = pl.Series([data, b""], dtype=pl.Binary).cast(pl.String)
        if dialect == ESCAPED:
            # One pass from left to right, MySQL's escapes as RFC 4180 has them.
            text = text.str.replace_many(
                ["\\\\", '\\"', "\\N", "\\0", "\\"], ["\\", '""', _NULL, "", ""], leftmost=True
            )
        read = pl.read_csv(
            text.cast(pl.Binary)[0],
            has_header=False,
            schema=schema,
            infer_schema=False,
            null_values=[_NULL] if dialect == ESCAPED else None,
        )
    except pl.exceptions.PolarsError:
        return None
    return read[1:] if read.height == len(rows) + 1 else None


def _reason(records: Records, row: int, n_fields: int, dialect: str) -> str:
    import numpy as np

    record = records.raw(row)
    if not record.strip():
        return "blank"
    try:
        record.decode()
    except UnicodeDecodeError:
        return "not-utf8"
    return "" if _read(records, np.array([row]), n_fields, dialect) is not None else "not-csv"
