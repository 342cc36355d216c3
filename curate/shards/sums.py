"""
Turn a mix folder into SHA256SUMS: what `sha256sum -c` checks, and `files` of the manifest.

The digests of the shards are known from writing them, so of a mix only the small files are read.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from curate import files
from curate.errors import IntegrityError

NAME = "SHA256SUMS"
MANIFEST = "manifest.json"
ID_SUFFIXES = (".npy", ".bin", ".ds")


@dataclass(frozen=True)
class Sums:
    """The lines of SHA256SUMS but the manifest's, which is not written yet."""

    lines: bytes
    n_files: int
    n_bytes: int

    @property
    def facts(self) -> dict[str, Any]:
        """`files` of the manifest (docs/format.md §5.5)."""
        return {
            "sums_sha256": sha256(self.lines).hexdigest(),
            "n_files": self.n_files,
            "n_bytes": self.n_bytes,
        }

    def text(self, manifest: bytes) -> bytes:
        """The whole of SHA256SUMS, for a manifest of these bytes."""
        return self.lines + line(sha256(manifest).hexdigest(), MANIFEST)


def line(digest: str, name: str) -> bytes:
    """
    One line of SHA256SUMS.

        >>> line("00ff", "spans.parquet")
        b'00ff  spans.parquet\\n'
    """
    return f"{digest}  {name}\n".encode()


def sums(folder: Path, content: Mapping[str, Any]) -> Sums:
    """
    The sums of every file below `folder` but SHA256SUMS, manifest.json and temporary files.

    `content` is what `write_mix` returned: digests of shards are taken from it, not computed
    again. `n_bytes` adds up the sizes of all names, a shard's three names three times.
    """
    known = {
        f"shards/{shard['name']}{suffix}": shard["sha256"]
        for shard in content["shards"]
        for suffix in ID_SUFFIXES
    }
    names = sorted(_names(folder), key=str.encode)
    lines = [line(known.get(name) or files.sha256_of(folder / name), name) for name in names]
    n_bytes = sum((folder / name).stat().st_size for name in names)
    return Sums(b"".join(lines), len(names), n_bytes)


def _names(folder: Path) -> Iterator[str]:
    for place, folders, found in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(files.TEMPORARY_PREFIX)]
        for name in found:
            relative = (Path(place) / name).relative_to(folder).as_posix()
            if relative not in (NAME, MANIFEST) and not name.startswith(files.TEMPORARY_PREFIX):
                yield relative


def digests(folder: Path) -> dict[str, str]:
    """
    What SHA256SUMS says: relative name → sha256 in hex.

    Raises IntegrityError if it is missing or not of the form that `sums` writes.
    """
    try:
        text = (folder / NAME).read_text()
    except FileNotFoundError:
        raise IntegrityError(f"{folder / NAME} is missing") from None
    pairs = [row.split("  ", 1) for row in text.splitlines()]
    if any(len(pair) != 2 or len(pair[0]) != 64 for pair in pairs):
        raise IntegrityError(f"{folder / NAME} is damaged")
    return {name: digest for digest, name in pairs}
