"""
Turn the lengths of a shard's spans into the small files by which trainers find documents in it.

    .idx            Megatron-core, GPT-NeoX
    .ds.index       datatrove, nanotron (with .ds.metadata)
    .csv.gz         OLMo-core, dolma

The bytes are those of docs/format.md §5.2:

    >>> import numpy as np
    >>> megatron_index(np.array([3, 2]), "uint16")[:18]
    b'MMIDIDX\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x08'
    >>> datatrove_index(np.array([3, 2])).hex(" ", 8)
    '0300000000000000 0500000000000000'
    >>> datatrove_metadata("tokenizer.json", "uint32", 1_249_000)
    b'tokenizer.json|4\\n1249000\\n1.2M'
"""

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from curate.shards.gather import Counts, starts_of

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".npy", ".bin", ".ds", ".idx", ".ds.index", ".ds.metadata", ".csv.gz")
"""Every file of a shard; the first three are one inode."""

MEGATRON_CODES = {"uint16": 8, "uint32": 4}
"""Megatron has no uint32: ids below 2^31 read the same as int32, its code 4."""

GZIP_LEVEL = 1
"""Of standard zlib: 2.8 times the speed of level 6 for a tenth more bytes on URLs and digests."""


def megatron_index(lengths: Counts, dtype: str) -> bytes:
    """`.idx`: 34 bytes, then int32 lengths, int64 byte offsets and int64 document numbers 0…n."""
    n = len(lengths)
    head = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, MEGATRON_CODES[dtype], n, n + 1)
    offsets = starts_of(lengths) * np.dtype(dtype).itemsize
    arrays = (
        lengths.astype("<i4"),
        offsets.astype("<i8"),
        np.arange(n + 1, dtype="<i8"),
    )
    return head + b"".join(array.tobytes() for array in arrays)


def datatrove_index(lengths: Counts) -> bytes:
    """`.ds.index`: uint64 end of each span, in tokens."""
    return np.cumsum(lengths, dtype=np.int64).astype("<u8").tobytes()


def datatrove_metadata(name: str, dtype: str, n_tokens: int) -> bytes:
    """`.ds.metadata`: tokenizer and width, count, count in words; nanotron splits at one bar."""
    width = np.dtype(dtype).itemsize
    return f"{name.replace('|', '_')}|{width}\n{n_tokens}\n{in_words(n_tokens)}".encode()


def in_words(n: int) -> str:
    """A count to one decimal with K, M, B or T, rounded down: 1,249,000 is 1.2M."""
    for power, letter in ((12, "T"), (9, "B"), (6, "M"), (3, "K")):
        if n >= 10**power:
            tenths = n // 10 ** (power - 1)
            return f"{tenths // 10}.{tenths % 10}{letter}"
    return str(n)


LINES = 8_192
"""Lines made at once: a third less work than with the library's own number (measured)."""


class DocumentTable:
    """
    `.csv.gz` of a shard: lines `start,end,id,input,offset`, no header, from rows of spans.parquet.

    A gzip member written by hand, so that no library's idea of a name, a time or an operating
    system is in it.
    """

    def __init__(self) -> None:
        self._packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._packed = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
        self._crc = 0
        self._n_bytes = 0

    def add(self, spans: "pl.DataFrame") -> None:
        """Append the lines of some spans."""
        import polars as pl

        text = BytesIO()
        ends = (spans["start"] + spans["n_tokens"]).alias("end")
        lines = [spans["start"], ends, spans["id"], spans["input"], spans["offset"]]
        pl.DataFrame(lines).write_csv(
            text,
            include_header=False,
            quote_style="necessary",
            line_terminator="\n",
            batch_size=LINES,
        )
        data = text.getbuffer()
        self._crc = zlib.crc32(data, self._crc)
        self._n_bytes += len(data)
        self._packed.append(self._packer.compress(data))

    def close(self) -> bytes:
        """The whole file."""
        tail = struct.pack("<II", self._crc, self._n_bytes & 0xFFFFFFFF)
        return b"".join([*self._packed, self._packer.flush(), tail])
