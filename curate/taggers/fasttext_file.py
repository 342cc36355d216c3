r"""
Turn the bytes of a fastText model into its header, or into the reason why they are not a model.

The library checks the first eight bytes and then reads on: a file cut short gives other labels, an
altered one hangs or kills the process. Every length in the file is checked here against the file's
own length before the library sees it; no memory is taken that the file could ask for.

Layout (fastText 0.9, `FastText::loadModel`), all little-endian:

    int32 magic 793712314, int32 version 12
    int32 dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate, float64 t
    int32 size nwords nlabels, int64 ntokens prune; size × (bytes \0, int64 count, int8 type)
    prune × (int32 index, int32 row)
    bool quantized; matrix; bool quantized output; matrix

    >>> header(b"not a model")
    Traceback (most recent call last):
      ...
    curate.errors.InputError: not a fastText model: it starts with 544501614, version 1869422689
"""

import struct
from dataclasses import dataclass
from mmap import mmap
from typing import TYPE_CHECKING

from curate.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAGIC = 793712314
VERSION = 12
_ARGS = struct.Struct("<12id")
_DICTIONARY = struct.Struct("<iiiqq")
_ENTRY_BYTES = 9  # how often the word was seen, its kind
_LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
_SUPERVISED = 3
_CENTROIDS = 256  # of a product quantizer: one byte per code


@dataclass(frozen=True)
class Header:
    """What a supervised fastText model says of itself."""

    dim: int
    loss: str
    n_words: int
    labels: tuple[str, ...]  # in the order of the file, with their prefix
    word_ngrams: int
    minn: int
    maxn: int
    quantized: bool
    n_rows: int  # of the input matrix: words, then buckets


class _Reader:
    """A position in the bytes that never passes their end."""

    def __init__(self, data: bytes | mmap) -> None:
        self.whole = data
        self.data = memoryview(data)
        self.at = 0

    def take(self, n: int, what: str) -> memoryview:
        if n < 0 or self.at + n > len(self.data):
            raise _broken(f"it ends at byte {len(self.data):,}, inside its {what}")
        piece = self.data[self.at : self.at + n]
        self.at += n
        return piece

    def unpack(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size, what))

    def number(self, code: str, what: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize("<" + code), what))[0])

    def flag(self, what: str) -> bool:
        value = self.number("B", what)
        if value > 1:
            raise _broken(f"its {what} is {value}, neither 0 nor 1")
        return bool(value)


def header(data: bytes | mmap) -> Header:
    """
    The header of a supervised model whose every length fits the file; InputError otherwise.

    A changed weight keeps the file well-formed: only the digest can tell that.
    """
    reader = _Reader(data)
    magic, version = struct.unpack("<ii", reader.take(8, "header"))
    if magic != MAGIC or version != VERSION:
        raise _broken(f"it starts with {magic}, version {version}")
    numbers = reader.unpack(_ARGS, "header")
    dim, _, _, _, _, word_ngrams, loss, model, bucket, minn, maxn, _ = numbers[:12]
    if model != _SUPERVISED or loss not in _LOSSES:
        raise _broken("it is not a supervised (classifying) model")
    if not (0 < dim <= 1 << 16 and 0 < word_ngrams <= 64 and 0 <= minn <= 64 and 0 <= maxn <= 64):
        raise _broken(f"dim {dim}, wordNgrams {word_ngrams}, minn {minn}, maxn {maxn}")
    if not 0 <= bucket <= 1 << 30 or (bucket == 0 and (maxn > 0 or word_ngrams > 1)):
        raise _broken(f"it has {bucket} buckets")
    n_words, labels, prune = _dictionary(reader)
    rows = n_words + (prune if prune >= 0 else bucket)
    if prune > 0:
        _pruned(reader.take(8 * prune, "pruning table"), prune, bucket)
    quantized = reader.flag("quantization flag")
    _matrix(reader, rows, dim, quantized, "input matrix")
    _matrix(reader, len(labels), dim, reader.flag("output quantization flag"), "output matrix")
    if reader.at != len(reader.data):
        raise _broken(f"{len(reader.data) - reader.at:,} bytes follow its end")
    return Header(dim, _LOSSES[loss], n_words, labels, word_ngrams, minn, maxn, quantized, rows)


def _pruned(table: memoryview, n: int, bucket: int) -> None:
    import numpy as np

    buckets, rows = np.frombuffer(table, "<i4").reshape(n, 2).T
    if (np.sort(rows) != np.arange(n)).any() or buckets.min() < 0 or buckets.max() >= bucket:
        raise _broken("its pruning table points outside the matrix")


def _dictionary(reader: _Reader) -> tuple[int, tuple[str, ...], int]:
    import numpy as np

    size, n_words, n_labels, _, prune = reader.unpack(_DICTIONARY, "dictionary")
    if min(size, n_words) < 0 or n_labels < 1 or n_words + n_labels != size or prune < -1:
        raise _broken(f"{size} entries, {n_words} words, {n_labels} labels, prune {prune}")
    if size * 10 > len(reader.data):
        raise _broken(f"{size:,} dictionary entries do not fit into {len(reader.data):,} bytes")
    starts, ends = _entries(reader, size)
    kinds = np.frombuffer(reader.data, np.uint8)[ends + _ENTRY_BYTES]
    wrong = (kinds != (np.arange(size) >= n_words)) | (starts == ends)
    if wrong.any():
        row = int(wrong.argmax())
        raise _broken(f"dictionary entry {row} is of kind {kinds[row]}")
    labels = []
    for row in range(n_words, size):
        try:
            labels.append(bytes(reader.data[starts[row] : ends[row]]).decode())
        except UnicodeDecodeError:
            raise _broken(f"dictionary entry {row} is not UTF-8") from None
    if len(set(labels)) != len(labels):
        raise _broken("a label occurs twice")
    return n_words, tuple(labels), prune


def _entries(reader: _Reader, size: int) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
    """Where each entry's word starts and ends, int64 (size,); the reader is behind the last."""
    import numpy as np

    find, at, ends = reader.whole.find, reader.at, []
    for _ in range(size):
        end = find(b"\0", at)
        if end < 0:
            reader.take(len(reader.data), "dictionary")
        ends.append(end)
        at = end + 1 + _ENTRY_BYTES
    starts = np.array([reader.at, *(end + 1 + _ENTRY_BYTES for end in ends)], np.int64)
    reader.take(at - reader.at, "dictionary")
    return starts[:-1], np.array(ends, np.int64)


def _matrix(reader: _Reader, rows: int, dim: int, quantized: bool, what: str) -> None:
    if not quantized:
        m, n = reader.number("q", what), reader.number("q", what)
        if (m, n) != (rows, dim):
            raise _broken(f"its {what} is {m} × {n}, not {rows} × {dim}")
        reader.take(4 * m * n, what)
        return
    normed = reader.flag(what)
    m, n, codes = reader.number("q", what), reader.number("q", what), reader.number("i", what)
    if (m, n) != (rows, dim):
        raise _broken(f"its {what} is {m} × {n}, not {rows} × {dim}")
    reader.take(codes, what)
    subquantizers = _quantizer(reader, dim, what)
    if codes != m * subquantizers:
        raise _broken(f"its {what} has {codes:,} codes, not {m * subquantizers:,}")
    if normed:
        reader.take(m, what)
        _quantizer(reader, 1, what)


def _quantizer(reader: _Reader, dim: int, what: str) -> int:
    """Pass over a product quantizer of vectors of `dim`; gives its number of codes per row."""
    found, n, width, last = (reader.number("i", what) for _ in range(4))
    if found != dim or width < 1 or n != -(-dim // width) or last != dim - width * (n - 1):
        raise _broken(f"its {what} is quantized as {found} = {n} × {width} (last {last})")
    reader.take(4 * dim * _CENTROIDS, what)
    return n


def _broken(why: str) -> InputError:
    return InputError(f"not a fastText model: {why}")
