"""
Turn a stream of bytes into blocks of whole lines, each with its place in the stream.

Lines end at `\\n` and nowhere else (U+2028, form feeds and carriage returns are part of a line).
A block is cut at the last line end within `BLOCK` bytes, so where blocks end depends on the bytes
alone and not on how they arrived.

    >>> for b in blocks_of(iter([b"a\\nbb", b"\\nccc"]), block=4):
    ...     print(b.data, b.offset, b.line)
    b'a\\n' 0 1
    b'bb\\n' 2 2
    b'ccc' 5 3
"""

from collections.abc import Iterator
from dataclasses import dataclass

BLOCK = 4 << 20
"""Bytes of a block: enough to spread the cost of a call, few enough to parse within 512 MB."""

MAX_LINES = 1 << 16
"""Most lines of a block: of very short ones the rest takes more memory than the bytes."""

MAX_LINE = 12 << 20
"""Bytes of the longest line that is parsed; sticky threads reach megabytes."""


@dataclass(frozen=True)
class Block:
    """Whole lines; only the last line of a stream may lack its `\\n`."""

    data: bytes
    offset: int  # of the first byte, in the decompressed input
    line: int  # number of the first line, from 1
    n_too_long: int = 0  # bytes of the single line whose first MAX_LINE bytes `data` holds


def blocks_of(
    chunks: Iterator[bytes],
    *,
    offset: int = 0,
    line: int = 1,
    block: int = BLOCK,
    longest: int = MAX_LINE,
    most: int = MAX_LINES,
) -> Iterator[Block]:
    """Cut `chunks`, whose first byte is byte `offset` of the input, into blocks of whole lines."""
    held: list[bytes] = []  # joined once, when it is known where the block ends
    n_held = 0
    while True:
        while n_held <= block and (chunk := next(chunks, None)) is not None:
            held.append(chunk)
            n_held += len(chunk)
        if not n_held:
            return
        end = n_held if n_held <= block else _last_line_end(held, block)
        if not end:
            end = _first_line_end(held, block)
            while not end and n_held <= longest and (chunk := next(chunks, None)) is not None:
                held.append(chunk)
                place = chunk.find(b"\n") + 1
                end = n_held + place if place else 0
                n_held += len(chunk)
        if not end and n_held > longest:
            n_line, rest = _pass_over(chunks, n_held)
            yield Block(b"".join(held)[:longest], offset, line, n_line)
            offset, line = offset + n_line, line + 1
            held, n_held = [rest] if rest else [], len(rest)
            continue
        end = end or n_held
        too_long = end > max(block, longest)
        data, held = _taken(held, end)
        n_lines = 1
        if not too_long:
            ends = line_ends(data, most + 1)
            if len(ends) > most:
                end = ends[most - 1] + 1
                held.insert(0, data[end:])
                data = data[:end]
            n_lines = min(len(ends), most)
        n_held -= end
        made = Block(data[:longest] if too_long else data, offset, line, end if too_long else 0)
        offset, line = offset + end, line + n_lines
        del data
        yield made
        del made  # a line may take 12 MB, and the next one is about to be read


def line_ends(data: bytes, most: int | None = None) -> list[int]:
    """Places of the line ends of `data`, or of the first so many."""
    ends: list[int] = []
    end = data.find(b"\n")  # one call a line is several times as fast as a mask over the bytes
    while end >= 0 and len(ends) != most:
        ends.append(end)
        end = data.find(b"\n", end + 1)
    return ends


def _last_line_end(held: list[bytes], within: int) -> int:
    """Bytes up to the last line end among the first `within`; 0 if there is none."""
    n_before = sum(map(len, held))
    for chunk in reversed(held):
        n_before -= len(chunk)
        if n_before < within and (place := chunk.rfind(b"\n", 0, within - n_before)) >= 0:
            return n_before + place + 1
    return 0


def _first_line_end(held: list[bytes], after: int) -> int:
    """Bytes up to the first line end that is not among the first `after`; 0 if there is none."""
    n_before = 0
    for chunk in held:
        if n_before + len(chunk) > after:
            place = chunk.find(b"\n", max(after - n_before, 0))
            if place >= 0:
                return n_before + place + 1
        n_before += len(chunk)
    return 0


def _taken(held: list[bytes], n: int) -> tuple[bytes, list[bytes]]:
    """The first n bytes, and what is held after them."""
    n_before = 0
    for k, chunk in enumerate(held):
        if n_before + len(chunk) >= n:
            rest = [chunk[n - n_before :], *held[k + 1 :]]
            held[k:] = [chunk[: n - n_before]]
            return b"".join(held), [piece for piece in rest if piece]
        n_before += len(chunk)
    raise ValueError(f"{n:,} bytes are not held")


def _pass_over(chunks: Iterator[bytes], n_line: int) -> tuple[int, bytes]:
    """Skip to the next line end in constant memory: bytes of the line, and what follows it."""
    for chunk in chunks:
        end = chunk.find(b"\n") + 1
        if end:
            return n_line + end, chunk[end:]
        n_line += len(chunk)
    return n_line, b""
