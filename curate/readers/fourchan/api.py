"""
Turn the JSON shapes of the 4chan API into lines of one shape, a thread each.

    {"posts": [OP, reply…]}                               a thread            (or a line of a dump)
    {"threads": [{"posts": […]}, …]}                      an index page
    [{"page": 1, "threads": [{OP, "last_replies": […]}]}]  a catalog
    [{"page": 1, "threads": [{"no", "last_modified"}]}]    a list of threads   no text
    [123, 456, …]                                         a list of archived  no text

The last two, and the list of boards, carry no text: their entries are counted as skipped records.
Shapes as documented in the 4chan-API repository (pages/*.md).

    >>> import pathlib, tempfile
    >>> from curate.readers.lines import Block
    >>> with Tally("0" * 16, pathlib.Path(tempfile.mkdtemp()) / "rejected") as tally:
    ...     answer = Block(b'[{"page":1,"threads":[{"no":5}]}]', 0, 1)
    ...     lines = threads(jsonrows.Lines.of(answer), tally)
    >>> len(lines), tally.skipped
    (0, Counter({'thread-list': 1}))
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import orjson

from curate.readers import jsonrows
from curate.readers.base import Tally
from curate.readers.jsonrows import CUT_OFF
from curate.readers.lines import Block


def threads(lines: jsonrows.Lines, tally: Tally) -> jsonrows.Lines:
    """
    Lines `{"posts": […]}`, one per thread; entries without text are skipped and counted.

    Lines that have a `posts` already, and lines that are none of these shapes, stay as they are.
    """
    made: list[bytes] = []
    offsets: list[int] = []
    numbers: list[int] = []
    changed = False
    for row in range(len(lines)):
        raw = lines.raw(row)
        found = _threads_of(raw, tally)
        if found is None:
            found = [raw]
        else:
            changed = True
        made += found
        offsets += [lines.offset(row)] * len(found)
        numbers += [lines.number(row)] * len(found)
    return jsonrows.Lines.made(made, offsets, numbers) if changed else lines


def unfolded(blocks: Iterator[Block]) -> Iterator[Block]:
    """
    The same blocks; an answer that was saved over several lines is put on one.

    That is so if the first line is unfinished, and the file, being one block long, is JSON.
    """
    first = next(blocks, None)
    if first is None:
        return
    second = next(blocks, None)
    if second is None and jsonrows.reason_against(first.data.split(b"\n", 1)[0]) == CUT_OFF:
        try:
            orjson.loads(first.data)
        except orjson.JSONDecodeError:
            yield first
        else:
            # JSON has no line ends inside strings, so that a space for each changes no value.
            yield dataclasses.replace(first, data=first.data.rstrip().replace(b"\n", b" "))
        return
    begun = [first] if second is None else [first, second]
    del first, second
    while begun:
        yield begun.pop(0)
    yield from blocks


def _threads_of(raw: bytes, tally: Tally) -> list[bytes] | None:
    """Threads of an answer of the API as JSON lines; None if it is of no other shape."""
    if raw[:1] not in (b"[", b"{") or raw.startswith((b'{"posts"', b'{"no"')):
        return None
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if isinstance(answer, dict) and "posts" not in answer:
        if isinstance(answer.get("threads"), list):
            return [orjson.dumps(thread) for thread in answer["threads"]]
        if isinstance(answer.get("boards"), list):
            _skip(tally, "board-list", len(answer["boards"]))
            return []
    if isinstance(answer, list) and all(isinstance(item, int) for item in answer):
        _skip(tally, "archive-list", len(answer))
        return []
    if isinstance(answer, list) and all(_is_page(item) for item in answer):
        return list(_catalog(answer, tally))
    return None


def _is_page(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("threads"), list)


def _catalog(pages: list[dict[str, Any]], tally: Tally) -> Iterator[bytes]:
    for page in pages:
        for opening in page["threads"]:
            if isinstance(opening, dict) and "time" not in opening and "now" not in opening:
                _skip(tally, "thread-list", 1)
            elif isinstance(opening, dict):
                replies = opening.pop("last_replies", [])
                yield orjson.dumps({"posts": [opening, *replies]})
            else:
                yield orjson.dumps(opening)


def _skip(tally: Tally, reason: str, n: int) -> None:
    tally.n_records += n
    tally.skip(reason, n)
