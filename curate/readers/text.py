"""
Turn plain text files into documents: the whole file, each line, or each paragraph.

    split = "file"        one document, without the line ends at its end
    split = "line"        one document per line
    split = "paragraph"   one per run of lines between empty lines (lines of white space alone)
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from curate.errors import InputError
from curate.readers import jsonrows, pages
from curate.readers.base import Declaration, Tally
from curate.readers.decompress import Stream
from curate.readers.lines import MAX_LINE

if TYPE_CHECKING:
    import polars as pl

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_BETWEEN_PARAGRAPHS = re.compile(rb"\n[ \t\r]*\n\s*")


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """No columns beyond those of every documents table."""
    return {}


def read(
    streams: Sequence[Stream], declaration: Declaration, tally: Tally
) -> "Iterator[pl.DataFrame]":
    """Documents of one text file; pieces that are not UTF-8 are rejected."""
    (stream,) = streams
    import polars as pl

    for offset, line, pieces in _pieces(stream, declaration["split"], tally):
        texts, offsets = [], []
        for piece in pieces:
            try:
                texts.append(piece.decode())
                offsets.append(offset)
            except UnicodeDecodeError:
                tally.n_records += 1
                tally.reject(offset=offset, line=line, reason="not-utf8", raw=piece)
            offset += len(piece)
            line += piece.count(b"\n")
        shown = [text.strip("\r\n") for text in texts]
        yield pages.documents(
            pl.DataFrame(
                {"text": shown, "offset": offsets}, schema={"text": pl.String, "offset": pl.UInt64}
            ),
            tally,
        )


def _pieces(stream: Stream, split: str, tally: Tally) -> Iterator[tuple[int, int, list[bytes]]]:
    """(offset, line of the first, pieces that follow one another) in batches."""
    if split == "line":
        for block in jsonrows.blocks(stream, tally):
            yield block.offset, block.line, _LINE.findall(block.data)
        return
    held = b""
    offset, line = 0, 1
    for block in jsonrows.blocks(stream, tally):
        held += block.data
        if split == "paragraph":
            ends = [match.end() for match in _BETWEEN_PARAGRAPHS.finditer(held)]
            if ends:
                pieces = [held[a:b] for a, b in zip([0, *ends], ends, strict=False)]
                yield offset, line, pieces
                offset += ends[-1]
                line += held.count(b"\n", 0, ends[-1])
                held = held[ends[-1] :]
        if len(held) > MAX_LINE:
            raise InputError(
                f"{stream.name} has a document of more than {MAX_LINE:,} bytes",
                hint=f'Set split = "line" or "paragraph" in the source (it is "{split}").',
            )
    if held:
        yield offset, line, [held]
