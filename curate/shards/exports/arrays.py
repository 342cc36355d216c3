"""
Turn shards into the array files of MosaicML streaming, litdata and llm.c, written byte by byte.

None of them needs the library that reads it; the layouts are those of the readers' own sources.
"""

import json
import struct
from typing import Any

import numpy as np

from curate.errors import UsageError
from curate.shards.exports.folder import Folder, Source
from curate.shards.gather import as_bytes

MDS_BYTES = 1 << 26
"""Bytes of samples in an MDS file: streaming's own default limit."""

LITDATA_CODES = {"uint16": 5, "uint32": 6}
"""litdata's numbers of NumPy types, as in `no_header_numpy:5`."""

LLMC_MAGIC, LLMC_VERSION, LLMC_HEADER = 20240520, 1, 256


def write_mds(source: Source, folder: Folder) -> None:
    """
    Windows without overlap as the column `tokens`, of a fixed shape; tails are dropped.

    A file: uint32 n, uint32 offset of each sample and of the end, the configuration as JSON, and
    then nothing but the ids of the windows (streaming/base/format/mds/writer.py).
    """
    dtype, window = source.mix.dtype, source.window
    size = window * dtype.itemsize
    config: dict[str, Any] = {
        "column_encodings": [f"ndarray:{dtype.name}:{window}"],
        "column_names": ["tokens"],
        "column_sizes": [size],
        "compression": None,
        "format": "mds",
        "hashes": ["sha256"],
        "size_limit": MDS_BYTES,
        "version": 2,
    }
    told = json.dumps(config, sort_keys=True).encode()
    per_file = max(1, MDS_BYTES // size)
    shards: list[dict[str, Any]] = []
    for shard in source.shards():
        n_windows = len(shard.ids) // window
        for first in range(0, n_windows, per_file):
            n = min(per_file, n_windows - first)
            begin = 4 + 4 * (n + 1) + len(told)
            offsets = begin + size * np.arange(n + 1, dtype=np.int64)
            name = f"shard.{len(shards):05d}.mds"
            head = struct.pack("<I", n) + offsets.astype("<u4").tobytes() + told
            ids = shard.ids[first * window : (first + n) * window]
            digest = folder.put(name, [head, as_bytes(ids)])
            raw = {
                "basename": name,
                "bytes": len(head) + n * size,
                "hashes": {"sha256": digest},
            }
            shards.append({**config, "raw_data": raw, "samples": n, "zip_data": None})
            source.delivered(n * window)
        source.n_dropped += len(shard.ids) - n_windows * window
    _refuse_none(shards, window)
    index = json.dumps({"shards": shards, "version": 2}, sort_keys=True).encode()
    folder.put("index.json", [index])


def _refuse_none(shards: list[dict[str, Any]], window: int) -> None:
    if not shards:
        raise UsageError(
            f"no shard of this mix holds one window of {window:,} tokens",
            hint="Give a smaller --window.",
        )


def write_litdata(source: Source, folder: Folder) -> None:
    """
    One chunk of one item per shard: uint32 1, 12, end; then the ids (litdata's TokensLoader).

    Block length is chosen when reading.
    """
    dtype = source.mix.dtype
    chunks: list[dict[str, Any]] = []
    for shard in source.shards():
        end = 12 + shard.ids.nbytes
        if end >= 2**32:
            raise UsageError(
                f"shard {shard.name} has {shard.ids.nbytes:,} bytes; litdata counts them in uint32",
                hint="Build the mix with a smaller shard_tokens.",
            )
        name = f"chunk-0-{shard.number}.bin"
        folder.put(name, [struct.pack("<III", 1, 12, end), as_bytes(shard.ids)])
        chunks.append(
            {"chunk_bytes": end, "chunk_size": 1, "dim": len(shard.ids), "filename": name}
        )
        source.delivered(len(shard.ids))
    config = {
        "chunk_bytes": max((chunk["chunk_bytes"] for chunk in chunks), default=0),
        "chunk_size": None,
        "compression": None,
        "data_format": [f"no_header_numpy:{LITDATA_CODES[dtype.name]}"],
        "data_spec": '[1, {"type": null, "context": null, "children_spec": []}]',
        "encryption": None,
        "item_loader": "TokensLoader",
    }
    index = json.dumps({"chunks": chunks, "config": config}, sort_keys=True).encode()
    folder.put("index.json", [index])


def write_llmc(source: Source, folder: Folder) -> None:
    """
    A header of 256 int32, then uint16 ids with the delimiter before each document.

    Our EOS is after each document: one goes to the front of each file, the last one goes
    (llm.c dev/data/data_common.py; the reader checks the exact size).
    """
    if source.mix.dtype.name != "uint16":
        raise UsageError(
            "llm.c and modded-nanogpt read uint16 only",
            details=[f"this mix has ids of {source.mix.dtype.name}"],
            hint="Build it with a tokenizer of at most 65,536 ids.",
        )
    eos = struct.pack("<H", source.mix.eos_id)
    for shard in source.shards():
        head = np.zeros(LLMC_HEADER, dtype="<i4")
        head[:3] = LLMC_MAGIC, LLMC_VERSION, len(shard.ids)
        name = f"train_{shard.number:06d}.bin"
        folder.put(name, [head.tobytes(), eos, as_bytes(shard.ids)[:-2]])
        source.delivered(len(shard.ids))
