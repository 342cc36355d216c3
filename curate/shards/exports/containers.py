"""Turn the documents of a mix into records of containers: webdataset's tars and ArrayRecord."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curate.errors import MissingExtraError
from curate.shards.exports.folder import Folder, OpenedShard, Source
from curate.shards.gather import as_bytes


def write_webdataset(source: Source, folder: Folder) -> None:
    """
    One tar per shard, one member `<shard>-<number>.input_ids.npy` per document: a real .npy file.

    Members are ustar with no time, owner or mode of anybody's machine.
    """
    for shard in source.shards():
        folder.put(f"{shard.number:05d}.tar", _tar(shard))
        source.delivered(len(shard.ids))


def _tar(shard: OpenedShard) -> Iterator[bytes]:
    heads: dict[int, bytes] = {}
    ids, first = as_bytes(shard.ids), 0
    width = shard.ids.dtype.itemsize
    for number, end in enumerate(shard.ends.tolist()):
        n = end - first
        head = heads.get(n) or heads.setdefault(n, npy_head(shard.ids.dtype, n))
        n_bytes = len(head) + n * width
        name = f"{shard.number:05d}-{number:08d}.input_ids.npy"
        padding = bytes(-n_bytes % 512)
        yield b"".join((tar_head(name, n_bytes), head, ids[first * width : end * width], padding))
        first = end
    yield bytes(1024)


def npy_head(dtype: "np.dtype[np.generic]", n: int) -> bytes:
    """
    The head of a .npy file of shape (n,), version 1.0.

        >>> len(npy_head(np.dtype("<u2"), 3))
        128
    """
    told = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({n},), }}".encode()
    padded = told + b" " * (-(len(told) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


def tar_head(name: str, n_bytes: int) -> bytes:
    """The 512 bytes before a file of a ustar archive (POSIX 1003.1, pax, ustar interchange)."""
    size = b"%011o\x00" % n_bytes if n_bytes < 8**11 else b"\x80" + n_bytes.to_bytes(11, "big")
    head = b"".join(
        (
            name.encode().ljust(100, b"\0"),
            b"%07o\x00%07o\x00%07o\x00" % (0o644, 0, 0),  # mode, uid, gid
            size,
            b"%011o\x00" % 0,  # time
            b" " * 8,  # the checksum counts itself as blanks
            b"0".ljust(101, b"\x00"),  # a file, no link
            b"ustar\x00" + b"00",
            bytes(247),  # names of owners, devices, prefix
        )
    )
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def write_arrayrecord(source: Source, folder: Folder) -> None:
    """One ArrayRecord file per shard, one record per document: its raw ids. Needs array-record."""
    try:
        from array_record.python.array_record_module import ArrayRecordWriter
    except ImportError:
        raise MissingExtraError(
            "exporting to arrayrecord needs the package array-record",
            hint="pip install array-record",
        ) from None

    for shard in source.shards():
        ids, width = as_bytes(shard.ids), shard.ids.dtype.itemsize
        ends = (shard.ends * width).tolist()

        def write(path: Path, ids: memoryview = ids, ends: list[int] = ends) -> None:
            writer = ArrayRecordWriter(str(path), "group_size:1")
            for first, end in zip([0, *ends], ends, strict=False):
                writer.write(bytes(ids[first:end]))
            writer.close()

        folder.put_with(f"{shard.number:05d}.array_record", write)
        source.delivered(len(shard.ids))
