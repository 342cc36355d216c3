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

import numpy as np

BLOCK = 4 << 20
"""Bytes of a block: enough to spread the cost of a call, few enough to parse within 512 MB."""

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
) -> Iterator[Block]:
    """Cut `chunks`, whose first byte is byte `offset` of the input, into blocks of whole lines."""
    data, wanted, more = b"", block + 1, True
    while True:
        pieces = [data]
        n_held = len(data)
        while more and n_held < wanted:
            chunk = next(chunks, None)
            if chunk is None:
                more = False
            else:
                pieces.append(chunk)
                n_held += len(chunk)
        data = b"".join(pieces)
        if not data:
            return
        if n_held <= block:
            end = n_held  # all that is left
        else:
            end = data.rfind(b"\n", 0, block) + 1 or data.find(b"\n", block) + 1
        if not end and more and n_held <= longest:
            wanted = min(2 * n_held, longest + 1)
            continue
        wanted = block + 1
        if not end and more:
            n_line, rest = _pass_over(chunks, n_held)
            yield Block(data[:longest], offset, line, n_line)
            offset, line, data = offset + n_line, line + 1, rest
            continue
        end = end or n_held
        too_long = end > max(block, longest)
        n_lines = 1 if too_long else int(np.count_nonzero(np.frombuffer(data, np.uint8, end) == 10))
        # While a block is worked on nothing else is held: a line may take 12 MB.
        made = Block(data[: longest if too_long else end], offset, line, end if too_long else 0)
        pieces, data = [], data[end:]
        offset, line = offset + end, line + n_lines
        yield made
        del made


def _pass_over(chunks: Iterator[bytes], n_line: int) -> tuple[int, bytes]:
    """Skip to the next line end in constant memory: bytes of the line, and what follows it."""
    for chunk in chunks:
        end = chunk.find(b"\n") + 1
        if end:
            return n_line + end, chunk[end:]
        n_line += len(chunk)
    return n_line, b""
