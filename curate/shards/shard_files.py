"""
Turn a shard in memory into its seven files: ids under three names, and four sidecars.

    00000-1a2b3c4d.npy  .bin  .ds                    one inode
    00000-1a2b3c4d.idx  .ds.index  .ds.metadata  .csv.gz

The name carries the digest of the ids, since some readers cache by name and size alone. A shard
that a sibling arm has already is linked, not written again.
"""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from curate import files
from curate.shards import sidecars
from curate.shards.gather import Ids, as_bytes
from curate.shards.place import Shard

TOKENIZER = "../tokenizer.json"
"""What `.ds.metadata` calls the tokenizer: the mix's own, from the folder of the shard."""

COMPARE_TOKENS = 1 << 22


def digest_of_ids(ids: Ids) -> str:
    """sha256 of a shard's bytes, 64 hex digits."""
    return sha256(as_bytes(ids)).hexdigest()


def shard_name(number: int, digest: str) -> str:
    """`00000-<first 8 hex digits of the digest>`: the stem of a shard's files."""
    return f"{number:05d}-{digest[:8]}"


def write_shard_files(
    folder: Path, name: str, shard: Shard, table: bytes, *, link: str, siblings: Sequence[Path]
) -> None:
    """
    Write the files of a shard to `folder`; `table` is its `.csv.gz`.

    `link` is how the ids get their second and third name: "hard", "symbolic" or "copy".
    `siblings` are folders in which a file of the same bytes may be found and linked.
    """
    ids = folder / f"{name}.npy"
    if not _adopt(ids, shard.ids, siblings):
        with files.replacing(ids) as temporary, open(temporary, "wb") as file:
            file.write(as_bytes(shard.ids))
    link_names(ids, link)
    dtype = shard.ids.dtype.name
    for suffix, data in (
        (".idx", sidecars.megatron_index(shard.lengths, dtype)),
        (".ds.index", sidecars.datatrove_index(shard.lengths)),
        (".ds.metadata", sidecars.datatrove_metadata(TOKENIZER, dtype, len(shard.ids))),
        (".csv.gz", table),
    ):
        files.write_bytes(folder / f"{name}{suffix}", data)


def link_names(ids: Path, link: str) -> None:
    """Give `X.npy` its names `X.bin` and `X.ds`."""
    for suffix in (".bin", ".ds"):
        files.link(ids, ids.with_suffix(suffix), link)


def _adopt(path: Path, ids: Ids, siblings: Sequence[Path]) -> bool:
    """Link `path` to a sibling's file of exactly these ids, if there is one on this disk."""
    ending = path.name.partition("-")[2]
    for folder in siblings:
        for found in sorted(folder.glob(f"*-{ending}")):
            if found.is_symlink() or not _holds(found, ids):
                continue
            try:
                with files.replacing(path) as temporary:
                    temporary.unlink(missing_ok=True)
                    os.link(found, temporary)
            except OSError:  # another disk, or one without hard links: written like any other
                continue
            return True
    return False


def _holds(path: Path, ids: Ids) -> bool:
    if path.stat().st_size != ids.nbytes:
        return False
    there = np.memmap(path, ids.dtype, mode="r")
    return all(
        np.array_equal(there[at : at + COMPARE_TOKENS], ids[at : at + COMPARE_TOKENS])
        for at in range(0, len(ids), COMPARE_TOKENS)
    )
