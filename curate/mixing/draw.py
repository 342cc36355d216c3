"""
Turn streams and amounts into draws: which documents a component of an arm takes, how the last
are cut.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.mixing.census import Pool
    >>> from curate.mixing.gather import Selection
    >>> from curate.mixing.scratch import Scratch
    >>> from curate.mixing.streams import TAKEN
    >>> tape = Tape(Scratch(Path(tempfile.mkdtemp()) / "work"), "t", TAKEN, ("n_tokens", "n_bytes"))
    >>> rows = np.zeros(3, TAKEN)
    >>> rows["n_tokens"] = 10
    >>> tape.append(rows)
    >>> stream = Stream(Pool(Selection(0, 0)), seed=7, per_epoch=3, tape=tape)
    >>> draw = take(stream, start=0, unit="tokens", amount=21, exact=True, least=3)
    >>> draw.stop, draw.sizes, draw.n_tokens
    (3, {1: 8, 2: 3}, 21)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.mixing.cut import tail
from curate.mixing.scratch import Rows, Tape, picked
from curate.mixing.streams import Stream

SPAN = np.dtype(
    [
        ("component", "<u2"),
        ("part", "<u4"),
        ("row", "<u4"),
        ("epoch", "<u4"),
        ("n_tokens", "<u4"),
        ("cut", "?"),
    ]
)
"""A span as docs/format.md §3.4 has it, without what is 0 everywhere and its shard."""
_COLUMNS = {"tokens": "n_tokens", "bytes": "n_bytes"}


@dataclass(frozen=True)
class Draw:
    """
    Documents start … stop − 1 of a stream.

    `sizes` has the tokens of the (at most two) documents that are cut, by their place in the
    stream; 0 leaves a document out. `n_bytes` counts whole documents, cut or not.
    """

    stream: Stream
    start: int
    stop: int
    sizes: dict[int, int]
    n_tokens: int
    n_bytes: int

    @property
    def n_spans(self) -> int:
        """Spans of the draw."""
        return self.stop - self.start - sum(size == 0 for size in self.sizes.values())

    @property
    def n_documents(self) -> int:
        """Documents of the draw, each counted once however many epochs it appears in."""
        return distinct([self])

    def spans(self, component: int) -> Iterator[Rows]:
        """The spans in the order of the stream, a chunk at a time."""
        first = self.start
        for rows in self.stream.tape.chunks(self.start, self.stop):
            spans = np.zeros(len(rows), SPAN)
            spans["component"] = component
            for name in ("part", "row", "n_tokens"):
                spans[name] = rows[name]
            spans["epoch"] = np.arange(first, first + len(rows)) // self.stream.per_epoch
            for place, size in self.sizes.items():
                if first <= place < first + len(rows):
                    spans["n_tokens"][place - first] = size
                    spans["cut"][place - first] = True
            first += len(rows)
            yield picked(spans, spans["n_tokens"] > 0) if self.sizes else spans

    def longest(self, allowed: int) -> int:
        """Tokens of the longest span, looked for only if some document nearby exceeds `allowed`."""
        bound = self.stream.tape.most("n_tokens", self.start, self.stop)
        if bound <= allowed:
            return bound
        return max((int(rows["n_tokens"].max(initial=0)) for rows in self.spans(0)), default=0)

    def cuts(self) -> list[dict[str, Any]]:
        """The cut documents as plan.json names them, in the order of the stream."""
        found = []
        for place, size in sorted(self.sizes.items()):
            row = self.stream.tape.read(place, place + 1)[0]
            if size:
                found.append(
                    {
                        "key": np.array([row["a"], row["b"]], "<u8").tobytes().hex(),
                        "epoch": place // self.stream.per_epoch,
                        "n_tokens": size,
                        "n_tokens_whole": int(row["n_tokens"]),
                    }
                )
        return found


def take(
    stream: Stream, *, start: int, unit: str, amount: int, exact: bool, least: int
) -> Draw | None:
    """
    The documents from `start` on that make up `amount`; None if the stream ends before.

    With `exact`, an amount of tokens is met to the token; otherwise whole documents are taken
    until it is first reached. `least`: tokens of a span with two content ids.
    """
    tape = stream.tape
    if unit == "documents":
        stop = start + amount
        if stop > len(tape):
            return None
    else:
        before = tape.sum_before(_COLUMNS[unit], start) if start else 0
        stop = max(start, tape.reach(_COLUMNS[unit], before + amount)) if amount else start
        if amount and tape.sum_before(_COLUMNS[unit], stop) < before + amount:
            return None
    n_tokens = _sum(tape, "n_tokens", start, stop)
    n_bytes = _sum(tape, "n_bytes", start, stop)
    sizes: dict[int, int] = {}
    if exact and unit == "tokens" and n_tokens > amount:
        last = tape.read(max(start, stop - 2), stop)
        previous = int(last["n_tokens"][0]) if len(last) == 2 else None
        whole = int(last["n_tokens"][-1])
        x, y = tail(previous, whole, amount - (n_tokens - whole), least)
        if previous is not None and x != previous:
            sizes[stop - 2] = x
            n_bytes -= int(last["n_bytes"][0]) if x == 0 else 0
        if y != whole:
            sizes[stop - 1] = y
        n_tokens = amount
    return Draw(stream, start, stop, sizes, n_tokens, n_bytes)


def _sum(tape: Tape, field: str, start: int, stop: int) -> int:
    return tape.sum_before(field, stop) - tape.sum_before(field, start) if stop > start else 0


def distinct(draws: list[Draw]) -> int:
    """
    Documents of draws that follow one another in one stream, each counted once.

    Draws that begin at the start and stay in the first epoch, or fill it, need no look at rows.
    """
    used = [draw for draw in draws if draw.stop > draw.start]
    if not used:
        return 0
    first, last = used[0], used[-1]
    per_epoch = first.stream.per_epoch
    skipped = [p for draw in used for p, size in draw.sizes.items() if size == 0]
    if last.stop <= per_epoch or (last.stop - 1) // per_epoch == first.start // per_epoch:
        return last.stop - first.start - len(skipped)
    if first.start == 0 and not skipped:
        return per_epoch
    places = []
    for draw in used:
        low = draw.start
        for rows in draw.stream.tape.chunks(draw.start, draw.stop):
            found = (rows["part"].astype(np.uint64) << np.uint64(32)) | rows["row"]
            places.append(
                np.delete(found, [p - low for p in skipped if low <= p < low + len(rows)])
            )
            low += len(rows)
    return len(np.unique(np.concatenate(places)))
