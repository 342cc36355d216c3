"""
Turn the blocks of a shard into its seven files: ids under three names, and four sidecars.

    00000-1a2b3c4d.npy  .bin  .ds                    one inode
    00000-1a2b3c4d.idx  .ds.index  .ds.metadata  .csv.gz

The name carries the digest of the ids, since some readers cache by name and size alone. A shard
that a sibling arm has already is linked, not kept twice.
"""

import filecmp
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np

from curate import files
from curate.shards import memory, sidecars
from curate.shards.gather import Counts, Ids, as_bytes

TOKENIZER = "../tokenizer.json"
"""What `.ds.metadata` calls the tokenizer: the mix's own, from the folder of the shard."""


class OpenShard:
    """A shard being written: `add` blocks, then `close`."""

    def __init__(self, number: int, spill: Path, dtype: str) -> None:
        self.number = number
        self.n_tokens = 0
        self.n_spans = 0
        self._path = spill / f"{number:05d}.npy"
        self._dtype = dtype
        self._lengths: list[Counts] = []
        self._digest = sha256()
        files.make_folder(spill)
        files.announce("write", self._path)
        self._file: BinaryIO = open(self._path, "wb")  # noqa: SIM115 - closed by close or abandon

    def add(self, ids: Ids, lengths: Counts) -> None:
        """Append whole spans."""
        self._digest.update(as_bytes(ids))
        self._file.write(as_bytes(ids))
        self._file.flush()
        self._lengths.append(lengths)
        self.n_tokens += len(ids)
        self.n_spans += len(lengths)

    def let_go(self) -> None:
        """Leave the memory that the system keeps of the ids to others: nobody reads them here."""
        memory.let_go(self._file.fileno())

    def close(self, folder: Path, table: bytes, *, link: str, siblings: Sequence[Path]) -> str:
        """
        Put the shard's files into `folder`, durably; returns its name.

        `table` is its `.csv.gz`; `link` is how the ids get their second and third name: "hard",
        "symbolic" or "copy"; `siblings` are folders in which a file of the same bytes may be found.
        """
        self._file.close()
        name = f"{self.number:05d}-{self.digest[:8]}"
        ids = folder / f"{name}.npy"
        if _adopt(ids, self._path, siblings):
            files.remove(self._path)
        else:
            files.sync_file(self._path)
            files.rename(self._path, ids)
        link_names(ids, link)
        lengths = np.concatenate(self._lengths)
        for suffix, data in (
            (".idx", sidecars.megatron_index(lengths, self._dtype)),
            (".ds.index", sidecars.datatrove_index(lengths)),
            (".ds.metadata", sidecars.datatrove_metadata(TOKENIZER, self._dtype, self.n_tokens)),
            (".csv.gz", table),
        ):
            files.write_bytes(folder / f"{name}{suffix}", data)
        return name

    def abandon(self) -> None:
        """Close the file of a shard that will not be finished."""
        self._file.close()

    @property
    def digest(self) -> str:
        """sha256 of the ids so far, 64 hex digits."""
        return self._digest.hexdigest()


def link_names(ids: Path, link: str) -> None:
    """Give `X.npy` its names `X.bin` and `X.ds`."""
    for suffix in (".bin", ".ds"):
        files.link(ids, ids.with_suffix(suffix), link)


def _adopt(path: Path, written: Path, siblings: Sequence[Path]) -> bool:
    """Link `path` to a sibling's file of the same bytes as `written`, if there is one."""
    ending = path.name.partition("-")[2]
    for folder in siblings:
        for found in sorted(folder.glob(f"*-{ending}")):
            if found.is_symlink() or not filecmp.cmp(found, written, shallow=False):
                continue
            try:
                with files.replacing(path) as temporary:
                    temporary.unlink(missing_ok=True)
                    os.link(found, temporary)
            except OSError:  # another disk, or one without hard links: written like any other
                continue
            return True
    return False
